-- Open, renew or close a worker's session: the lease under which it holds its jobs.
-- request  { "open", session, lease_ms, info (JSON) } | { "renew", session, lease_ms } | { "close", session }
-- answer   { alive, cancelled ids }
-- A lease that ran out can still be renewed until the reaper has begun with it: nobody else has its jobs yet.
local verb, session, lease, info = unpack(request, 1, 4)
if verb == 'open' then
  redis.call('ZADD', P .. 'leases', now + lease, session)
  redis.call('HSET', P .. 'session:' .. session, 'info', info, 'seen', now)
  return commit({ true, {} })
end
if not redis.call('ZSCORE', P .. 'leases', session) then
  return commit({ false, {} })
end
if verb == 'renew' then
  redis.call('ZADD', P .. 'leases', now + lease, session)
  redis.call('HSET', P .. 'session:' .. session, 'seen', now)
  return commit({ true, redis.call('SMEMBERS', P .. 'cancel:' .. session) })
end
local _, done = end_session(session, 1000)
return commit({ not done, {} })
