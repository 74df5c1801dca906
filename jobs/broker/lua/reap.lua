-- Take the jobs of workers whose lease ran out, and make them runnable again.
-- request  { limit }
-- answer   { reaped ids, sessions that ended }
-- After a pause (Redis was frozen, or no reaper ran) leases that ran out are prolonged once: the workers'
-- renewals may be waiting behind this call.
local PAUSE_MS = 5000
local limit = request[1]
local seen = tonumber(redis.call('GET', P .. 'reaper') or 0)
redis.call('SET', P .. 'reaper', now)
if now - seen > PAUSE_MS then
  for _, session in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', now)) do
    redis.call('ZADD', P .. 'leases', now + PAUSE_MS, session)
  end
  return commit({ {}, {} })
end
-- Not every worker speaks for itself as a process besides; whoever has a lease is missed all the same.
local function lose(session)
  local said, seen = info_of(session), redis.call('HGET', P .. 'session:' .. session, 'seen')
  if not said then
    return
  end
  local figures = { kind = 'WORKER', host = said.host, pid = said.pid, version = said.version,
                    started_ms = said.started_ms, seen_ms = 0 }
  local id = place_of(said)
  local key = P .. 'process:' .. id
  redis.call('HSET', key, 'seen', seen or now, 'since', 0, 'figures', cjson.encode(figures))
  redis.call('PEXPIRE', key, LOST_MS)
  redis.call('ZADD', P .. 'processes', now, id)
end
for _, session in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', now)) do
  lose(session)
  redis.call('ZREM', P .. 'leases', session)
  redis.call('SADD', P .. 'reaping', session)
end
local reaped, ended = {}, {}
for _, session in ipairs(redis.call('SMEMBERS', P .. 'reaping')) do
  if #reaped < limit then
    local ids, done = end_session(session, limit - #reaped)
    for _, id in ipairs(ids) do
      reaped[#reaped + 1] = id
    end
    if done then
      ended[#ended + 1] = session
    end
  end
end
return commit({ reaped, ended })
