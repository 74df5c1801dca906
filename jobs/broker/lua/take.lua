-- Reserve waiting jobs by name, for a caller who ends them by hand (SAQ's finish without a dequeue).
-- request  { session, ids }
-- answer   { token or "" ... }; "": the job is not waiting, or somebody has it
local session, ids = request[1], request[2]
if not redis.call('ZSCORE', P .. 'leases', session) then
  return redis.error_reply('LOST')
end
local BY_HAND = '-taken'
local answer = {}
for i, id in ipairs(ids) do
  local job = read_job(id)
  answer[i] = ''
  if job and WAITING[job.s] and job.n == '' then
    leave(job)
    if job.s ~= 'QUEUED' then
      promote_job(job)
    end
    answer[i] = new_tokens(1)[1] .. BY_HAND
    redis.call('HSET', job.key, 'n', answer[i], 'w', session)
    redis.call('SADD', P .. 'held:' .. session, id)
  elseif job and job.s == 'QUEUED' and job.w == session and job.n:sub(-#BY_HAND) == BY_HAND then
    -- the answer to the first call was lost
    answer[i] = job.n
  end
end
return commit(answer)
