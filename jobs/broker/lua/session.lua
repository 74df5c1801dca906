-- Open, renew, steer or close a worker's session: the lease under which it holds its jobs.
-- request  { "open", session, lease_ms, info (JSON), wish (JSON) or "" } | { "renew", session, lease_ms, vitals (JSON) }
--          | { "steer", session, wish (JSON), the one that it takes the place of (JSON) or "" for any }
--          | { "rouse", session, queues } | { "keep", session, epoch, tokens } | { "close", session }
-- answer   { alive, cancelled ids, wish (JSON) or "" }; after "close": { jobs are left, {}, "" };
--          after "steer": with the wish that holds
-- "rouse" wakes another worker where there is work: this one was woken for it perhaps, and does not take it.
-- "keep" says, once in each epoch, what the worker still has from before it: Redis may have come back with an older
-- copy, in which the session holds jobs that it has given back since.
-- A lease that ran out can still be renewed until the reaper has begun with it: nobody else has its jobs yet.
local verb, session = request[1], request[2]
local session_key = P .. 'session:' .. session
if verb == 'open' then
  redis.call('ZADD', P .. 'leases', now + request[3], session)
  redis.call('HSET', session_key, 'info', request[4], 'seen', now)
  if request[5] ~= '' then
    redis.call('HSET', session_key, 'wish', request[5])
  end
  return commit({ true, {}, '' })
end
if not redis.call('ZSCORE', P .. 'leases', session) then
  return commit({ false, {}, '' })
end
if verb == 'renew' then
  redis.call('ZADD', P .. 'leases', now + request[3], session)
  redis.call('HSET', session_key, 'seen', now, 'vitals', request[4])
  return commit({ true, redis.call('SMEMBERS', P .. 'cancel:' .. session), redis.call('HGET', session_key, 'wish') or '' })
end
if verb == 'steer' then
  local held = redis.call('HGET', session_key, 'wish') or '{}'
  if request[4] ~= '' and request[4] ~= held then
    return commit({ true, {}, held })
  end
  redis.call('HSET', session_key, 'wish', request[3])
  return commit({ true, {}, request[3] })
end
if verb == 'rouse' then
  for _, queue in ipairs(request[3]) do
    for class = 0, 4 do
      woken[queue] = woken[queue] or redis.call('ZCARD', P .. 'ready:' .. queue .. ':' .. class) > 0 or nil
    end
  end
  return commit({ true, {}, '' })
end
local FORGOTTEN = '{"type":"WORKER_LOST","message":"Redis came back with an older copy, without the end of this attempt."}'
if verb == 'keep' then
  local kept = {}
  for _, token in ipairs(request[4]) do
    kept[token] = true
  end
  for _, id in ipairs(request[3] == epoch and redis.call('SMEMBERS', P .. 'held:' .. session) or {}) do
    local job = read_job(id)
    if not job or job.w ~= session then
      redis.call('SREM', P .. 'held:' .. session, id)
    elseif job.n:match('^%d+') ~= epoch and (job.s == 'QUEUED' or not kept[job.n]) then
      leave(job)
      if job.s == 'QUEUED' then
        put_back(job)
      else
        requeue(job, session, FORGOTTEN, job.c)
      end
    end
  end
  return commit({ true, {}, '' })
end
redis.call('SET', P .. 'left', now)
local said = info_of(session)
if said then  -- a session that it lost before is not missed any more either
  redis.call('DEL', P .. 'process:' .. place_of(said))
  redis.call('ZREM', P .. 'processes', place_of(said))
end
local _, done = end_session(session, 1000)
return commit({ not done, {}, '' })
