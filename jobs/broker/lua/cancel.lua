-- Cancel jobs: at once while they wait, by asking their worker while they run.
-- request  { ids }
-- answer   { "CANCELLED" | "REQUESTED" | "FINAL" | "UNKNOWN" ... }
local answer = {}
for i, id in ipairs(request[1]) do
  local key = job_key(id)
  local s, v, r, q, w, x = unpack(redis.call('HMGET', key, 's', 'v', 'r', 'q', 'w', 'x'))
  if not s then
    answer[i] = redis.call('EXISTS', P .. 'done:' .. id) == 1 and 'FINAL' or 'UNKNOWN'
  elseif WAITING[s] then
    v = next_version(v)
    -- its id in a list of ready jobs is skipped when it is drawn
    redis.call('ZREM', P .. 'due', id)
    redis.call('HSET', key, 's', 'CANCELLED', 'v', v, 'n', '', 'w', '', 'u', now)
    emit('cancelled', id, v, now, tonumber(r), 0)
    make_final(id, r, 'CANCELLED', s, q)
    answer[i] = 'CANCELLED'
  elseif s == 'ACTIVE' then
    if x ~= '1' then
      v = next_version(v)
      redis.call('HSET', key, 'x', '1', 'v', v, 'u', now)
      redis.call('SADD', P .. 'cancel:' .. w, id)
      emit('cancel_requested', id, v, now, tonumber(r))
    end
    answer[i] = 'REQUESTED'
  else
    answer[i] = 'FINAL'
  end
end
return commit(answer)
