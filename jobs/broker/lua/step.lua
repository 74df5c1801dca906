-- One step of a worker's lane: what it finished goes back, new jobs come along. Both in one call.
-- request  { session, lane, number, finished: { id, token, outcome, cpu_us or nil, a, b } ..., want, queues, suspects }
--          outcome: complete (result) | retry (error, delay_ms) | snooze (delay_ms) | release | cancel
--                   | die (reason, error) | crash (error)
--          suspects: how many jobs that have lost their process twice the session may hold at a time
-- answer   { reserved: { id, token, run, attempt, uncharged, crashes, spec, checkpoint } ..., stale ids, wait_ms }
-- A lane sends its number again until it has an answer; the same number is answered, not done, again.
local session, lane, number, finished, want, queues, suspects_max = unpack(request, 1, 7)
local session_key = P .. 'session:' .. session
if not redis.call('ZSCORE', P .. 'leases', session) then
  return redis.error_reply('LOST')
end

-- { id, token, run, attempt, uncharged, crashes, spec, checkpoint } of a job that waits for its start
local function read(id)
  local row = redis.pcall('HMGET', job_key(id), 's', 'n', 'r', 'a', 'g', 'c', 'b', 'cp')
  local r, a, g, c, spec = tonumber(row[3]), tonumber(row[4]), tonumber(row[5]), tonumber(row[6]), row[7]
  if row[1] == 'QUEUED' and row[2] and spec and sane(r, a, g, c) then
    return { id, row[2], r, a + 1, g, c, spec, row[8] or '' }
  end
  local job = read_job(id)
  if job and job.s == 'QUEUED' then
    return set_aside(id, job, 'Its field "b" is missing.')
  end
end

local last = redis.call('HGET', session_key, 'lane:' .. lane)
if last then
  local done = cmsgpack.unpack(last)
  if number <= done[1] then
    local again = {}
    -- nobody waits for the answer to an older number, which was held up on its way
    for _, pair in ipairs(number == done[1] and done[2] or {}) do
      local job = read(pair[1])
      -- one that was taken away or has started meanwhile is not handed out twice
      if job and job[2] == pair[2] then
        again[#again + 1] = job
      end
    end
    return commit({ again, done[3], 0 })
  end
end

local ended = {
  complete = function(job, cpu, result)
    become(job, 'COMPLETED', 'z', result, 'e', '')
    emit('completed', job.id, job.v, now, job.r, job.a, result, cpu)
  end,
  retry = function(job, cpu, failure, delay)
    local due = moment(now + delay)
    become(job, 'RETRYING', 'd', due, 'e', failure)
    emit('retrying', job.id, job.v, now, job.r, job.a, due, failure, cpu)
    make_due(job, due)
  end,
  snooze = function(job, cpu, delay)
    local due = moment(now + delay)
    become(job, 'SCHEDULED', 'd', due, 'g', job.g + 1)
    emit('snoozed', job.id, job.v, now, job.r, job.a, due, cpu)
    make_due(job, due)
  end,
  release = function(job, cpu)
    become(job, 'QUEUED', 'g', job.g + 1)
    emit('released', job.id, job.v, now, job.r, job.a, cpu)
    make_ready(job, true)
  end,
  cancel = function(job, cpu)
    become(job, 'CANCELLED')
    emit('cancelled', job.id, job.v, now, job.r, job.a, cpu)
  end,
  die = function(job, cpu, reason, failure)
    become(job, 'DEAD', 'y', reason, 'e', failure)
    emit('died', job.id, job.v, now, job.r, job.a, reason, failure, cpu)
  end,
  crash = function(job, _, failure)
    crash_job(job, session, failure)
  end,
}

local stale, given_back = {}, {}
for _, item in ipairs(finished) do
  local id, token, outcome, cpu, first, second = unpack(item, 1, 6)
  -- only a completion needs no more of the job
  local job
  if outcome == 'complete' then
    job = read_held(id, token)
  else
    job = read_job(id)
  end
  -- after a stale result the session may hold the job again, under another token; or it has not started yet
  if not job or (job.n == token and job.s == 'ACTIVE') or job.w ~= session then
    given_back[#given_back + 1] = id
  end
  if job and job.s == 'ACTIVE' and job.n == token then
    if job.x then
      redis.call('SREM', P .. 'cancel:' .. session, id)
      -- a cancelled job does not get another attempt
      if outcome == 'retry' or outcome == 'snooze' or outcome == 'release' then
        outcome = 'cancel'
      end
    end
    ended[outcome](job, cpu, first, second)
  else
    stale[#stale + 1] = id
  end
end
in_chunks('SREM', P .. 'held:' .. session, given_back)

-- What runs may end but nothing begins while the recorder is too far behind (jobs/services/trimmer.py), and before
-- what history knows as ended was dropped from an older copy of Redis (jobs/services/reconciler.py).
local behind, cleared = unpack(redis.call('MGET', P .. 'behind', P .. 'cleared'))
local pause_ms = behind and 1000 or cleared ~= epoch and 200
want = pause_ms and 0 or want

promote(100)

-- How many of the next turns each class of priority gets: 16 : 8 : 4 : 2 : 1, evenly mixed, the
-- place in the order kept from call to call, so that small batches are fair as well.
local ORDER = '0102010301020104010201030102010'
local function quotas(turns)
  local turn = redis.call('INCRBY', P .. 'turn', turns) - turns
  local quota = {}
  for class = 0, 4 do
    quota[class] = math.floor(turns / 31) * bit.rshift(16, class)
  end
  for i = 1, turns % 31 do
    local class = ORDER:byte((turn + i - 1) % 31 + 1) - 48
    quota[class] = quota[class] + 1
  end
  return quota
end

-- How many ids are in a list. What is empty is not asked again.
local sizes = {}
local function size(list)
  sizes[list] = sizes[list] or redis.call('ZCARD', P .. list)
  return sizes[list]
end

local reserved, seen = {}, {}
local function take_from(list, most)
  most = math.min(most, size(list))
  local drawn = most > 0 and redis.call('ZPOPMIN', P .. list, most) or {}
  sizes[list] = sizes[list] - #drawn / 2
  for i = 1, #drawn, 2 do
    local id = drawn[i]
    local job = not seen[id] and read(id)
    -- the id of a job that was set aside may be left over
    if job and job[2] == '' then
      seen[id] = true
      reserved[#reserved + 1] = job
    end
  end
end

local function take(queue, class, most)
  take_from('ready:' .. queue .. ':' .. class, most)
end

-- Suspects are the first thing that is taken, and only so many at a time.
local suspects_key = P .. 'session:' .. session .. ':suspects'
local suspects = 0
for _, id in ipairs(redis.call('SMEMBERS', suspects_key)) do
  if redis.call('SISMEMBER', P .. 'held:' .. session, id) == 1 then
    suspects = suspects + 1
  else
    redis.call('SREM', suspects_key, id)
    for _, queue in ipairs(queues) do
      woken[queue] = woken[queue] or redis.call('ZCARD', P .. 'suspects:' .. queue) > 0 or nil
    end
  end
end
local function take_suspects(queue)
  local before = #reserved
  take_from('suspects:' .. queue, math.min(suspects_max - suspects, want - #reserved))
  for i = before + 1, #reserved do
    suspects = suspects + 1
    redis.call('SADD', suspects_key, reserved[i][1])
    -- only a worker that gives each suspect a process of its own takes several
    redis.call('HSET', job_key(reserved[i][1]), 'i', suspects_max > 1 and '1' or '')
  end
end

local function waiting(queue)
  local length = suspects < suspects_max and size('suspects:' .. queue) or 0
  for class = 0, 4 do
    length = length + size('ready:' .. queue .. ':' .. class)
  end
  return length
end

local left = 0
if want > 0 then
  for _, queue in ipairs(queues) do
    take_suspects(queue)
  end
  local first = redis.call('INCR', P .. 'turn:queues')
  for i = 1, #queues do
    -- another queue is first in each call, and each gets its share before any gets more
    local queue = queues[(first + i) % #queues + 1]
    local share = math.ceil((want - #reserved) / (#queues - i + 1))
    local most, quota = #reserved + share, quotas(share)
    for class = 0, 4 do
      take(queue, class, math.min(quota[class], most - #reserved))
    end
    for class = 0, 4 do
      take(queue, class, most - #reserved)
    end
  end
  for _, queue in ipairs(queues) do
    for class = 0, 4 do
      take(queue, class, want - #reserved)
    end
    local length = waiting(queue)
    if length > 0 then
      woken[queue] = true
      left = left + length
    end
  end
end

local held, tokens = {}, {}
if #reserved > 0 then
  local fresh = new_tokens(#reserved)
  for i, job in ipairs(reserved) do
    job[2] = fresh[i]
    redis.call('HSET', job_key(job[1]), 'n', job[2], 'w', session)
    held[i], tokens[i] = job[1], { job[1], job[2] }
  end
  in_chunks('SADD', P .. 'held:' .. session, held)
end

local wait = pause_ms or left > 0 and 0 or until_due(5000)
redis.call('HSET', session_key, 'lane:' .. lane, cmsgpack.pack({ number, tokens, stale }))
return commit({ reserved, stale, wait })
