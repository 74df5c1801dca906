-- Raise the epoch. Never lowers it.
-- request  { epoch }
-- answer   the epoch that holds now
local wanted = request[1]
if not epoch or tonumber(epoch) < wanted then
  redis.call('SET', P .. 'epoch', wanted)
  redis.call('SET', P .. 'began', now)
  return cmsgpack.pack(wanted)
end
return cmsgpack.pack(tonumber(epoch))
