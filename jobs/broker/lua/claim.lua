-- Give each of SAQ's keys to one job. A key is free when no job holds it that has not ended.
-- request  { { record, id, due_ms } ... }
-- answer   { now, { id or "" ... } }; "": a job that has not ended holds the key
-- The caller pushes under the id it is given. Where another caller's push is still on its way (it may take
-- PUSH_MS), both get the same id: whoever arrives first has enqueued the job. A record outlives its job's
-- time by RECORD_MS at most; what ends the job shortens that to SAQ's ttl (note.lua).
local PUSH_MS, RECORD_MS = 10000, 30 * 86400000
local answer = {}
for i, claim in ipairs(request) do
  local record, id, due = P .. 'saq:' .. claim[1], claim[2], claim[3]
  local holder, at = unpack(redis.call('HMGET', record, 'id', 'at'))
  local job = holder and read_job(holder)
  local ended = job and FINAL[job.s]
    or holder and redis.call('EXISTS', P .. 'done:' .. holder, P .. 'kept:' .. holder) > 0
  if job and not ended then
    answer[i] = ''
  elseif holder and not ended and tonumber(at) + PUSH_MS > now then
    answer[i] = holder
  else
    redis.call('DEL', record)
    redis.call('HSET', record, 'id', id, 'at', now)
    redis.call('PEXPIRE', record, RECORD_MS + math.max(0, due - now))
    answer[i] = id
  end
end
return commit({ now, answer })
