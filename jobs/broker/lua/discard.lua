-- Remove jobs that Redis believes alive but that history knows as ended (an older copy came back).
-- request  { { id, run } ... }
-- answer   how many were removed
local removed = 0
for _, pair in ipairs(request[1]) do
  local id, run = pair[1], pair[2]
  local job = read_job(id)
  if job and not FINAL[job.s] and job.r <= run then
    leave(job)
    redis.call('DEL', job.key)
    redis.call('SET', P .. 'done:' .. id, run, 'PX', TOMBSTONE_MS)
    count(job.q, job.s, -1)
    removed = removed + 1
  end
end
return commit(removed)
