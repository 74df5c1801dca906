-- Give back jobs that were reserved and not started.
-- request  { { id, token } ... }
-- answer   { true | false ... }; false: it was started, or is somebody else's by now
local answer = {}
for i, pair in ipairs(request) do
  local id, token = pair[1], pair[2]
  local s, n, q, p, w, c = unpack(redis.call('HMGET', job_key(id), 's', 'n', 'q', 'p', 'w', 'c'))
  answer[i] = s == 'QUEUED' and n == token
  if answer[i] then
    redis.call('SREM', P .. 'held:' .. w, id)
    put_back(id, q, p, c)
  end
end
return commit(answer)
