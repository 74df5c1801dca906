-- Confirm that reserved jobs begin to run now. This is what counts as an attempt.
-- request  { session, jobs: { id, token } ... }
-- answer   { true | false ... }; false: it is not the session's any more and must not run
local session, jobs = request[1], request[2]
if not redis.call('ZSCORE', P .. 'leases', session) then
  return redis.error_reply('LOST')
end
local answer = {}
for i, pair in ipairs(jobs) do
  local id, token = pair[1], pair[2]
  local key = job_key(id)
  local s, n, r, v, a, q, w = unpack(redis.call('HMGET', key, 's', 'n', 'r', 'v', 'a', 'q', 'w'))
  if n ~= token then
    -- the session may hold the job again, under another token
    if w ~= session then
      redis.call('SREM', P .. 'held:' .. session, id)
    end
    answer[i] = false
  elseif s == 'QUEUED' then
    v, a = next_version(v), tonumber(a) + 1
    redis.call('HSET', key, 's', 'ACTIVE', 'v', v, 'a', a, 'st', now, 'u', now)
    emit('started', id, v, now, tonumber(r), a, session)
    move(q, 'QUEUED', 'ACTIVE')
    answer[i] = true
  else
    -- the answer to the first call was lost
    answer[i] = s == 'ACTIVE'
  end
end
return commit(answer)
