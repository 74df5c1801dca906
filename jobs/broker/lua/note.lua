-- Note what only SAQ's users look at, tell those who listen, and keep an ended job for its ttl.
-- request  { { record, id, token or "", ended, ttl_ms, fields: name, value ... } ... }
--          ended: the caller's own call has just ended the attempt, so its last fields are taken
-- answer   { true | false ... }; false: the fields were not taken, since the job is the caller's no more
-- An ended job is copied to kept:ID, where it stays for SAQ's ttl (0: for ever, -1: not at all) when the
-- recorder has written it to history and forgets it here (forget.lua). A cron job's tick is remembered (claim.lua).
local TICK_MS = 3600000
local answer = {}
for i, item in ipairs(request) do
  local name, id, token, ended, ttl, fields = unpack(item, 1, 6)
  local record, job = P .. 'saq:' .. name, read_job(id)
  answer[i] = false
  if job and redis.call('HGET', record, 'id') == id then
    local final = FINAL[job.s] or false
    answer[i] = ended or not final and (token == '' or job.n == token)
    if answer[i] and #fields > 0 then
      redis.call('HSET', record, unpack(fields))
    end
    local tick = redis.call('HGET', record, 'tick')
    if final and tick and tick ~= '' then
      redis.call('ZADD', P .. 'ticks:' .. name, tick, tick)
      redis.call('PEXPIRE', P .. 'ticks:' .. name, TICK_MS + math.max(0, tonumber(tick) - now))
    end
    if final and ttl < 0 then
      redis.call('DEL', record)
    elseif final then
      redis.call('COPY', job.key, P .. 'kept:' .. id, 'REPLACE')
      redis.call('PERSIST', record)
      if ttl > 0 then
        redis.call('PEXPIRE', P .. 'kept:' .. id, ttl)
        redis.call('PEXPIRE', record, ttl)
      end
    end
    redis.call('PUBLISH', 'saq:job:' .. name, not final and job.x and 'ABORTING' or job.s)
  end
end
return commit(answer)
