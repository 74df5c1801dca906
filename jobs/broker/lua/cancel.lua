-- Cancel jobs: at once while they wait, by asking their worker while they run.
-- request  { ids }
-- answer   { "CANCELLED" | "REQUESTED" | "FINAL" | "UNKNOWN" ... }
local answer = {}
for i, id in ipairs(request[1]) do
  local job, set_aside_now = read_job(id)
  if not job then
    -- what ended may be an earlier run
    answer[i] = not set_aside_now and redis.call('EXISTS', P .. 'done:' .. id) == 1 and 'FINAL' or 'UNKNOWN'
  elseif WAITING[job.s] then
    leave(job)
    become(job, 'CANCELLED')
    emit('cancelled', id, job.v, now, job.r, 0)
    answer[i] = 'CANCELLED'
  elseif job.s == 'ACTIVE' then
    if not job.x then
      job.v = next_version(job.v)
      redis.call('HSET', job.key, 'x', '1', 'v', job.v, 'u', now)
      redis.call('SADD', P .. 'cancel:' .. job.w, id)
      emit('cancel_requested', id, job.v, now, job.r)
    end
    answer[i] = 'REQUESTED'
  else
    answer[i] = 'FINAL'
  end
end
return commit(answer)
