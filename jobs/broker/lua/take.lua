-- Reserve waiting jobs by name, for a caller who ends them by hand (SAQ's finish without a dequeue).
-- request  { session, ids }
-- answer   { token or "" ... }; "": the job is not waiting, or somebody has it
local session, ids = request[1], request[2]
if not redis.call('ZSCORE', P .. 'leases', session) then
  return redis.error_reply('LOST')
end
local answer = {}
for i, id in ipairs(ids) do
  local s, n, v, r, q = unpack(redis.call('HMGET', job_key(id), 's', 'n', 'v', 'r', 'q'))
  if s == 'SCHEDULED' or s == 'RETRYING' then
    v = next_version(v)
    redis.call('ZREM', P .. 'due', id)
    redis.call('HSET', job_key(id), 's', 'QUEUED', 'v', v, 'u', now)
    emit('due', id, v, now, tonumber(r))
    move(q, s, 'QUEUED')
    s = 'QUEUED'
  end
  answer[i] = ''
  if s == 'QUEUED' and n == '' then
    -- its id in a list of ready jobs is skipped when it is drawn
    answer[i] = epoch .. '-' .. redis.call('INCR', P .. 'token')
    redis.call('HSET', job_key(id), 'n', answer[i], 'w', session)
    redis.call('SADD', P .. 'held:' .. session, id)
  end
end
return commit(answer)
