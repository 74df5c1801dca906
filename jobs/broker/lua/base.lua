-- The beginning of every script: its request, the clock, and the few steps that all transitions share.
--
-- KEYS[1]  prefix of all keys (keys.py); its hash tag keeps them on one node of a cluster
-- ARGV[1]  request, msgpack
-- ARGV[2]  epoch that the caller believes in; "" for the scripts that set it
-- Answer   msgpack; or an error: EPOCH (the caller's epoch is not the broker's), LOST (its session ended)
--
-- A job is a hash. Its fields, short because there may be millions:
--   s state  r run  v version  q queue  t task  p priority  b spec (JSON)  d due_ms  u updated_ms
--   a attempts started  g attempts that do not count  c crashes  n fencing token ('' = free)  w session
--   st start_ms of the last attempt  x '1' = cancel requested  pr progress  cp checkpoint  e error  z result
--   y reason  rc recoveries
local P = KEYS[1] .. ':'
local request = cmsgpack.unpack(ARGV[1])
local clock = redis.call('TIME')
-- "clock" is an offset that only tests set
local now = clock[1] * 1000 + math.floor(clock[2] / 1000) + (tonumber(redis.call('GET', P .. 'clock')) or 0)
local epoch = redis.call('GET', P .. 'epoch')
if ARGV[2] ~= '' and epoch ~= ARGV[2] then
  return redis.error_reply('EPOCH ' .. (epoch or '0'))
end

local FINAL = { COMPLETED = true, CANCELLED = true, DEAD = true }
local WAITING = { QUEUED = true, SCHEDULED = true, RETRYING = true, BLOCKED = true }

local events, finals, deltas, woken = {}, {}, {}, {}

local function job_key(id)
  return P .. 'job:' .. id
end

-- Versions begin with the epoch, so they rise also where Redis came back with an older state.
local function next_version(version)
  return math.max((tonumber(version) or 0) + 1, tonumber(epoch) * 1000000)
end

local function emit(...)
  events[#events + 1] = { ... }
end

local function count(queue, state, delta)
  local states = deltas[queue] or {}
  states[state] = (states[state] or 0) + delta
  deltas[queue] = states
end

local function move(queue, from, to)
  count(queue, from, -1)
  if not FINAL[to] then
    count(queue, to, 1)
  end
end

-- A job whose worker has died twice while it ran is a suspect. A session runs one suspect at a time, so
-- that the one that kills its worker does not take the others with it a third time.
local SUSPECT_CRASHES, POISON_CRASHES = 2, 3
local function make_ready(id, queue, priority, in_front, crashes)
  local list = 'ready:' .. queue .. ':' .. priority
  if (tonumber(crashes) or 0) >= SUSPECT_CRASHES then
    list = 'suspects:' .. queue
  end
  redis.call(in_front and 'LPUSH' or 'RPUSH', P .. list, id)
  woken[queue] = true
end

-- Wait for a time. Whoever waits for the next due job has to hear of one that comes before it.
local function make_due(id, queue, due)
  redis.call('ZADD', P .. 'due', due, id)
  if redis.call('ZRANGE', P .. 'due', 0, 0)[1] == id then
    woken[queue] = true
    woken[':due'] = true
  end
end

-- A final job stays as it is until the recorder has read its last event (forget.lua).
local function make_final(id, run, state, from, queue)
  finals[#finals + 1] = run .. ':' .. id
  move(queue, from, state)
end

-- What is due becomes QUEUED.
local function promote(limit)
  local ids = redis.call('ZRANGEBYSCORE', P .. 'due', '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    redis.call('ZREM', P .. 'due', id)
    local s, v, r, q, p, c = unpack(redis.call('HMGET', job_key(id), 's', 'v', 'r', 'q', 'p', 'c'))
    if s == 'SCHEDULED' or s == 'RETRYING' then
      v = next_version(v)
      redis.call('HSET', job_key(id), 's', 'QUEUED', 'v', v, 'u', now)
      emit('due', id, v, now, tonumber(r))
      move(q, s, 'QUEUED')
      make_ready(id, q, p, false, c)
    end
  end
  return #ids
end

-- Milliseconds until the next due job, at most `most`.
local function until_due(most)
  local head = redis.call('ZRANGE', P .. 'due', 0, 0, 'WITHSCORES')
  if not head[2] then
    return most
  end
  return math.max(0, math.min(most, tonumber(head[2]) - now))
end

-- A reserved job that was not started goes back to where it came from, without a trace.
local function put_back(id, queue, priority, crashes)
  redis.call('HSET', job_key(id), 'n', '', 'w', '')
  make_ready(id, queue, priority, true, crashes)
end

-- The process that ran an active job is gone. A crash does not count as an attempt; the third one ends the job.
-- `failure` is what is known of it, as JSON, or '' where only the worker is known to be lost.
local function crash_job(id, session, failure)
  local key = job_key(id)
  local v, r, q, p, a, g, c, x = unpack(redis.call('HMGET', key, 'v', 'r', 'q', 'p', 'a', 'g', 'c', 'x'))
  v, r, a, c = next_version(v), tonumber(r), tonumber(a), (tonumber(c) or 0) + 1
  redis.call('HSET', key, 'v', v, 'n', '', 'w', '', 'c', c, 'u', now)
  if x == '1' then
    redis.call('HSET', key, 's', 'CANCELLED')
    emit('cancelled', id, v, now, r, a)
    make_final(id, r, 'CANCELLED', 'ACTIVE', q)
  elseif c >= POISON_CRASHES then
    if failure == '' then
      failure = '{"type":"WORKER_LOST","message":"The worker process ended ' .. c .. ' times while it ran this job."}'
    end
    redis.call('HSET', key, 's', 'DEAD', 'y', 'POISON', 'e', failure)
    emit('died', id, v, now, r, a, 'POISON', failure)
    make_final(id, r, 'DEAD', 'ACTIVE', q)
  else
    redis.call('HSET', key, 's', 'QUEUED', 'g', (tonumber(g) or 0) + 1)
    emit('reaped', id, v, now, r, a, c, session, failure)
    move(q, 'ACTIVE', 'QUEUED')
    make_ready(id, q, p, true, c)
  end
end

-- The job's worker is gone. Tells whether the job ran there.
local function reap_job(id, session)
  local s, q, p, w, c = unpack(redis.call('HMGET', job_key(id), 's', 'q', 'p', 'w', 'c'))
  if w ~= session or (s ~= 'QUEUED' and s ~= 'ACTIVE') then
    return false
  end
  if s == 'QUEUED' then
    put_back(id, q, p, c)
    return false
  end
  crash_job(id, session, '')
  return true
end

-- Take a session's jobs away from it, at most `limit` a call. Returns the reaped ids and whether nothing is left.
local function end_session(session, limit)
  redis.call('ZREM', P .. 'leases', session)
  redis.call('SADD', P .. 'reaping', session)
  local reaped = {}
  for _, id in ipairs(redis.call('SPOP', P .. 'held:' .. session, limit)) do
    if reap_job(id, session) then
      reaped[#reaped + 1] = id
    end
  end
  local done = redis.call('SCARD', P .. 'held:' .. session) == 0
  if done then
    redis.call('DEL', P .. 'session:' .. session, P .. 'session:' .. session .. ':suspects', P .. 'cancel:' .. session)
    redis.call('SREM', P .. 'reaping', session)
  end
  return reaped, done
end

-- One command for many members; Lua's stack bounds how many arguments a call can have.
local function in_chunks(command, key, members)
  for first = 1, #members, 1000 do
    redis.call(command, key, unpack(members, first, math.min(first + 999, #members)))
  end
end

-- Write what the script has gathered: one entry of the stream, the counters, the markers that wake workers.
local function commit(answer)
  if #events > 0 then
    local entry = redis.call('XADD', P .. 'events', '*', 'e', cmsgpack.pack({ tonumber(epoch), events }))
    for i, ended in ipairs(finals) do
      finals[i] = entry .. ':' .. ended
    end
    in_chunks('RPUSH', P .. 'finals', finals)
  end
  for queue, states in pairs(deltas) do
    for state, delta in pairs(states) do
      if delta ~= 0 then
        redis.call('HINCRBY', P .. 'count:' .. queue, state, delta)
      end
    end
  end
  for queue in pairs(woken) do
    if redis.call('LLEN', P .. 'wake:' .. queue) == 0 then
      redis.call('RPUSH', P .. 'wake:' .. queue, '1')
    end
  end
  return cmsgpack.pack(answer)
end
