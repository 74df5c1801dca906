-- Begin an epoch. Never lowers it.
-- request  { epoch, run_id of the server process, cleared }
--          cleared: nothing here can have ended elsewhere, so jobs may be reserved at once
-- answer   the epoch that holds now
local wanted, run_id, cleared = unpack(request, 1, 3)
if not epoch or tonumber(epoch) < wanted then
  redis.call('SET', P .. 'epoch', wanted)
  redis.call('SET', P .. 'began', now)
  redis.call('SET', P .. 'run', run_id)
  if cleared then
    redis.call('SET', P .. 'cleared', wanted)
  else
    -- whoever has to clear has a store, also before everything was filled from it for the first time
    redis.call('SETNX', P .. 'reconciled', 0)
  end
  return cmsgpack.pack(wanted)
end
return cmsgpack.pack(tonumber(epoch))
