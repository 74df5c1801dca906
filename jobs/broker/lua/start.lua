-- Confirm that reserved jobs begin to run now. This is what counts as an attempt.
-- request  { session, jobs: { id, token } ... }
-- answer   { true | false ... }; false: it is not the session's any more and must not run
local session, jobs = request[1], request[2]
if not redis.call('ZSCORE', P .. 'leases', session) then
  return redis.error_reply('LOST')
end
local answer = {}
for i, pair in ipairs(jobs) do
  local job = read_held(pair[1], pair[2])
  if not job or job.n ~= pair[2] then
    if not job or job.w ~= session then
      redis.call('SREM', P .. 'held:' .. session, pair[1])
    end
    answer[i] = false
  elseif job.s == 'QUEUED' then
    job.v, job.a = next_version(job.v), job.a + 1
    redis.call('HSET', job.key, 's', 'ACTIVE', 'v', job.v, 'a', job.a, 'st', now, 'u', now)
    emit('started', job.id, job.v, now, job.r, job.a, session)
    move(job.q, 'QUEUED', 'ACTIVE')
    answer[i] = true
  else
    -- the answer to the first call was lost
    answer[i] = job.s == 'ACTIVE'
  end
end
return commit(answer)
