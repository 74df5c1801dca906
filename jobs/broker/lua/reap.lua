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
for _, session in ipairs(redis.call('ZRANGEBYSCORE', P .. 'leases', '-inf', now)) do
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
