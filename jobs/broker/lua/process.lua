-- Say how a process is, for a time, or that it has ended. Who says nothing more is known as lost for a while.
-- request  { id, milliseconds for which that holds (0: it has ended), figures (JSON) }
-- answer   {}
local id, for_ms, figures = request[1], request[2], request[3]
local key = P .. 'process:' .. id
if for_ms == 0 then
  -- It is remembered for longer than whose place it took, who would be missed again otherwise.
  if redis.call('EXISTS', key) == 1 then
    redis.call('HSET', key, 'ended', 1)
    redis.call('PEXPIRE', key, 2 * LOST_MS)
    redis.call('ZADD', P .. 'processes', now + LOST_MS, id)
  end
else
  redis.call('HSET', key, 'seen', now, 'figures', figures)
  redis.call('HSETNX', key, 'since', now)
  redis.call('PEXPIRE', key, for_ms + LOST_MS)
  redis.call('ZADD', P .. 'processes', now + for_ms, id)
end
-- Whoever died has left its id there.
redis.call('ZREMRANGEBYSCORE', P .. 'processes', '-inf', now - LOST_MS)
return commit({})
