-- Cancel jobs: at once while they wait, by asking their worker while they run.
-- request  { { id, run; 0: whichever is here } ... }
-- answer   { "CANCELLED" | "REQUESTED" | "FINAL" | "UNKNOWN" ... }
local answer = {}
for i, pair in ipairs(request[1]) do
  local id, run = pair[1], pair[2]
  local job, set_aside_now = read_job(id)
  if not job then
    local ended = not set_aside_now and redis.call('GET', P .. 'done:' .. id)
    answer[i] = ended and tonumber(ended) >= run and 'FINAL' or 'UNKNOWN'
  elseif job.r < run then
    answer[i] = 'UNKNOWN'
  elseif run > 0 and job.r > run then
    answer[i] = 'FINAL'
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
