-- The beginning of every script: its request, the clock, and what it gathers to write at its end (commit).
--
-- KEYS[1]  prefix of all keys (keys.py); its hash tag keeps them on one node of a cluster
-- ARGV[1]  request, msgpack
-- ARGV[2]  epoch that the caller believes in; "" for the scripts that set it
-- Answer   msgpack; or an error: EPOCH (the caller's epoch is not the broker's), LOST (its session ended)
local P = KEYS[1] .. ':'
local request = cmsgpack.unpack(ARGV[1])
local clock = redis.call('TIME')
-- "clock" is an offset that only tests set
local epoch, offset = unpack(redis.call('MGET', P .. 'epoch', P .. 'clock'))
local now = clock[1] * 1000 + math.floor(clock[2] / 1000) + (tonumber(offset) or 0)
if ARGV[2] ~= '' and epoch ~= ARGV[2] then
  return redis.error_reply('EPOCH ' .. (epoch or '0'))
end

-- For so long a process that vanished without a goodbye is known as lost.
local LOST_MS = 120000

-- What the worker of a session has said of itself, if that can be read.
local function info_of(session)
  local sound, said = pcall(cjson.decode, redis.call('HGET', P .. 'session:' .. session, 'info') or '')
  return sound and type(said) == 'table' and said or nil
end

-- Where a worker is: one that comes back after it lost its lease has another session, and the same place.
local function place_of(info)
  return tostring(info.host) .. ':' .. tostring(info.pid)
end

local FINAL = { COMPLETED = true, CANCELLED = true, DEAD = true }
local WAITING = { QUEUED = true, SCHEDULED = true, RETRYING = true, BLOCKED = true }

local events, finals, lost, deltas, woken = {}, {}, {}, {}, {}

-- The last moment that others can still write as a date; later ones mean this one.
local LAST = 253402300799999
local function moment(ms)
  return math.max(0, math.min(ms, LAST))
end

-- Versions begin with the epoch, so they rise also where Redis came back with an older state.
local function next_version(version)
  return math.max((tonumber(version) or 0) + 1, tonumber(epoch) * 1000000)
end

-- Fencing tokens. Their numbers are times in microseconds, so an older copy of Redis does not give one twice.
local function new_tokens(number)
  local first = math.max((tonumber(redis.call('GET', P .. 'token')) or 0) + 1, clock[1] * 1000000 + clock[2])
  redis.call('SET', P .. 'token', first + number - 1)
  local tokens = {}
  for i = 1, number do
    tokens[i] = string.format('%s-%.0f', epoch, first + i - 1)
  end
  return tokens
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

-- One command for many members; Lua's stack bounds how many arguments a call can have.
local function in_chunks(command, key, members)
  for first = 1, #members, 1000 do
    redis.call(command, key, unpack(members, first, math.min(first + 999, #members)))
  end
end

-- A marker is of use to whoever looks within seconds; none is left in a queue that nobody serves.
local WAKE_MS = 10000

-- Write what the script has gathered: one entry of the stream, the counters, the markers that wake workers.
local function commit(answer)
  if #events > 0 then
    local entry = redis.call('XADD', P .. 'events', '*', 'e', cmsgpack.pack({ tonumber(epoch), events }))
    for i, ended in ipairs(finals) do
      finals[i] = entry .. ':' .. ended
    end
    for i, id in ipairs(lost) do
      lost[i] = entry .. ':' .. id
    end
    in_chunks('RPUSH', P .. 'finals', finals)
    in_chunks('RPUSH', P .. 'lost', lost)
  end
  for queue, states in pairs(deltas) do
    for state, delta in pairs(states) do
      if delta ~= 0 and redis.call('HINCRBY', P .. 'count:' .. queue, state, delta) <= 0 then
        redis.call('HDEL', P .. 'count:' .. queue, state)
      end
    end
  end
  for queue in pairs(woken) do
    if redis.call('LLEN', P .. 'wake:' .. queue) == 0 then
      redis.call('RPUSH', P .. 'wake:' .. queue, '1')
      redis.call('PEXPIRE', P .. 'wake:' .. queue, WAKE_MS)
    end
  end
  return cmsgpack.pack(answer)
end
