-- Remove final jobs whose end the recorder has written. A tombstone stays for a while, so that a push
-- that was on its way all the time does not run the job again.
-- request  { recorded ms, recorded seq, limit (at most 5,000) }
-- answer   how many entries were read; fewer than the limit: all that is recorded is forgotten
local ms, seq, limit = unpack(request, 1, 3)
local head = redis.call('LRANGE', P .. 'finals', 0, limit - 1)
local read, keys = 0, {}
for _, entry in ipairs(head) do
  local entry_ms, entry_seq, run, id = entry:match('^(%d+)-(%d+):(%d+):(.*)$')
  entry_ms, entry_seq = tonumber(entry_ms), tonumber(entry_seq)
  if entry_ms > ms or (entry_ms == ms and entry_seq > seq) then
    break
  end
  read = read + 1
  local key = job_key(id)
  local state, newest = unpack(redis.pcall('HMGET', key, 's', 'r'))
  -- a job that was run again meanwhile is alive, or has ended in an event that is not recorded yet
  if FINAL[state] and newest == run then
    keys[#keys + 1] = key
    redis.call('SET', P .. 'done:' .. id, run, 'PX', TOMBSTONE_MS)
  else
    read_job(id)
  end
end
if #keys > 0 then
  redis.call('DEL', unpack(keys))
end
if read > 0 then
  redis.call('LTRIM', P .. 'finals', read, -1)
end
return commit(read)
