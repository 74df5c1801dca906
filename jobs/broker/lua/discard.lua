-- Remove jobs that Redis believes alive but that history knows as ended (an older copy came back).
-- request  { { id, run } ... }
-- answer   how many were removed
local removed = 0
for _, pair in ipairs(request[1]) do
  local id, run = pair[1], pair[2]
  local s, r, q, w = unpack(redis.call('HMGET', job_key(id), 's', 'r', 'q', 'w'))
  if s and not FINAL[s] and tonumber(r) <= run then
    redis.call('ZREM', P .. 'due', id)
    if w and w ~= '' then
      redis.call('SREM', P .. 'held:' .. w, id)
    end
    redis.call('DEL', job_key(id))
    redis.call('SET', P .. 'done:' .. id, run, 'PX', 20000)
    count(q, s, -1)
    removed = removed + 1
  end
end
return commit(removed)
