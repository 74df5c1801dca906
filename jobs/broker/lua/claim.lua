-- Give each of SAQ's keys to one job. A key is free when no job holds it that has not ended.
-- request  { { record, id, due_ms, tick } ... }; tick: the job is a cron job's, for this time
-- answer   { now, { id or "" ... } }; "": a job that has not ended holds the key, or the tick has had its job
-- The caller pushes under the id it is given. Where another caller's push is still on its way (it may take
-- PUSH_MS), both get the same id: whoever arrives first has enqueued the job. A record outlives its job's
-- time by RECORD_MS at most; what ends the job shortens that to SAQ's ttl (note.lua).
-- A tick is remembered once its job was seen, here or where the job ended (note.lua), for TICK_MS. Whoever comes
-- with one that is older has a clock that is far behind.
local PUSH_MS, RECORD_MS, TICK_MS = 10000, 30 * 86400000, 3600000
local answer = {}
for i, claim in ipairs(request) do
  local name, id, due = unpack(claim, 1, 3)
  local record, ticks, tick = P .. 'saq:' .. name, P .. 'ticks:' .. name, claim[4] and string.format('%.0f', due) or ''
  local holder, at, held = unpack(redis.call('HMGET', record, 'id', 'at', 'tick'))
  local job = holder and read_job(holder)
  local ended = job and FINAL[job.s]
    or holder and redis.call('EXISTS', P .. 'done:' .. holder, P .. 'kept:' .. holder) > 0
  if held and held ~= '' and (job or ended) then
    redis.call('ZADD', ticks, held, held)
    redis.call('ZREMRANGEBYSCORE', ticks, '-inf', now - TICK_MS)
    redis.call('PEXPIRE', ticks, TICK_MS + math.max(0, tonumber(held) - now))
  end
  if tick ~= '' and (due < now - TICK_MS or redis.call('ZSCORE', ticks, tick)) then
    answer[i] = ''
  elseif job and not ended then
    answer[i] = ''
  elseif holder and not ended and tonumber(at) + PUSH_MS > now then
    answer[i] = held == tick and holder or ''
  else
    redis.call('DEL', record)
    redis.call('HSET', record, 'id', id, 'at', now, 'tick', tick)
    redis.call('PEXPIRE', record, RECORD_MS + math.max(0, due - now))
    answer[i] = id
  end
end
return commit({ now, answer })
