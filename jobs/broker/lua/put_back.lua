-- Give back jobs that were reserved and not started.
-- request  { { id, token } ... }
-- answer   { true | false ... }; false: it was started, or is somebody else's by now
local answer = {}
for i, pair in ipairs(request) do
  local job = read_job(pair[1])
  answer[i] = job ~= nil and job.s == 'QUEUED' and job.n == pair[2]
  if answer[i] then
    leave(job)
    put_back(job)
  end
end
return commit(answer)
