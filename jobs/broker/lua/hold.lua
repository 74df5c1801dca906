-- Let nothing be reserved for a time, because the recorder is behind; also where Redis is full.
-- request  { for_ms }; 0: from now on again
if request[1] > 0 then
  redis.call('SET', P .. 'behind', '1', 'PX', request[1])
else
  redis.call('DEL', P .. 'behind')
end
return commit(true)
