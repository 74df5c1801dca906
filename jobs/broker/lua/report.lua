-- Progress, checkpoints and log lines of running jobs. A checkpoint comes with progress.
-- request  { session, number, { id, token, progress or "", { level, message, context, stack, age_ms } ..., checkpoint or "" } ... }
-- answer   { token ... } of the attempts that are over: what comes from them is dropped
-- A number that was seen is not written twice; what was written then and is over by now is answered as over.
local session, number, reports = request[1], request[2], request[3]
if not redis.call('ZSCORE', P .. 'leases', session) then
  return redis.error_reply('LOST')
end
local session_key = P .. 'session:' .. session
local seen = tonumber(redis.call('HGET', session_key, 'report') or 0) >= number
local over = {}
if not seen then
  redis.call('HSET', session_key, 'report', number)
end

local function write(job, progress, lines, checkpoint)
  if progress ~= '' then
    redis.call('HSET', job.key, 'pr', progress, 'u', now)
    if checkpoint ~= '' then
      redis.call('HSET', job.key, 'cp', checkpoint)
    end
    emit('progressed', job.id, job.v, now, job.r, job.a, progress, checkpoint)
  end
  for _, line in ipairs(lines) do
    emit('logged', job.id, job.v, now - line[5], job.r, job.a, line[1], line[2], line[3], line[4])
  end
end

for _, report in ipairs(reports) do
  local id, token, progress, lines, checkpoint = unpack(report, 1, 5)
  local job = read_job(id)
  if not job or job.s ~= 'ACTIVE' or job.n ~= token then
    over[#over + 1] = token
  elseif not seen then
    write(job, progress, lines, checkpoint)
  end
end
return commit(over)
