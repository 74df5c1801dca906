-- What the scripts share about jobs: reading one, the places where its id is, the ways from state to state.
--
-- A job is a hash. Its fields, short because there may be millions:
--   s state  r run  v version  q queue  t task  p priority  b spec (JSON)  d due_ms  u updated_ms
--   a attempts started  g attempts that do not count  c crashes  n fencing token ('' = free)  w session
--   st start_ms of the last attempt  x '1' = cancel requested  pr progress  cp checkpoint  e error  z result
--   y reason  rc recoveries  i '1' = runs in a process of its own, as a suspect  l workers that it lost there
-- Its id is in exactly one place: `due` (SCHEDULED, RETRYING), a set of ready jobs or of suspects (QUEUED), or
-- held:SESSION (reserved or ACTIVE).

local function job_key(id)
  return P .. 'job:' .. id
end

-- A job whose worker has died twice while it ran is a suspect. A session runs one suspect at a time, so
-- that the one that kills its worker does not take the others with it a third time.
local SUSPECT_CRASHES, POISON_CRASHES, LOSSES = 2, 3, 10
local function ready_key(job)
  if job.c >= SUSPECT_CRASHES then
    return P .. 'suspects:' .. job.q
  end
  return P .. 'ready:' .. job.q .. ':' .. job.p
end

-- Scores at both ends of each list, so that a script asks for them once.
local tails, heads = {}, {}
local function make_ready(job, in_front)
  local key = ready_key(job)
  local edges, at = in_front and heads or tails, in_front and 0 or -1
  local edge = edges[key] or redis.call('ZRANGE', key, at, at, 'WITHSCORES')[2] or 0
  edges[key] = edge + (in_front and -1 or 1)
  redis.call('ZADD', key, edges[key], job.id)
  woken[job.q] = true
end

-- Wait for a time. Whoever waits for the next due job has to hear of one that comes before it.
local function make_due(job, due)
  redis.call('ZADD', P .. 'due', due, job.id)
  if redis.call('ZRANGE', P .. 'due', 0, 0)[1] == job.id then
    woken[job.q] = true
    woken[':due'] = true
  end
end

-- Take the id away from where it is.
local function leave(job)
  if job.w ~= '' then
    redis.call('SREM', P .. 'held:' .. job.w, job.id)
    redis.call('SREM', P .. 'cancel:' .. job.w, job.id)
  elseif job.s == 'QUEUED' then
    redis.call('ZREM', ready_key(job), job.id)
  else
    redis.call('ZREM', P .. 'due', job.id)
  end
end

-- Change the state; nobody holds the job from here on. Further fields may be given.
local function become(job, state, ...)
  job.v = next_version(job.v)
  redis.call('HSET', job.key, 's', state, 'v', job.v, 'n', '', 'w', '', 'u', now, ...)
  move(job.q, job.s, state)
  job.s = state
  -- a final job stays as it is until the recorder has read its last event (forget.lua)
  if FINAL[state] then
    finals[#finals + 1] = job.r .. ':' .. job.id
  end
end

-- What is not a job that somebody could work with is set aside, so that nothing stops for it. It stays readable
-- for a while, and the reconciler puts the job back from the store, once that has all events of it.
local QUARANTINE_MS, SHOWN_BYTES, TOMBSTONE_MS = 7 * 86400000, 4096, 20000

local function shown(text)
  local cut = #text > SHOWN_BYTES and text:sub(1, SHOWN_BYTES) .. '...' or text
  return (cut:gsub('[^\32-\126]', function(byte)
    return string.format('\\x%02x', byte:byte())
  end))
end

-- A key as JSON text, for the event. Other kinds than these two are told by their name only.
local function told(key)
  local kind = redis.call('TYPE', key).ok
  local content
  if kind == 'hash' then
    content = {}
    local row = redis.call('HGETALL', key)
    for i = 1, math.min(#row, 200), 2 do
      content[shown(row[i])] = shown(row[i + 1])
    end
  elseif kind == 'string' then
    content = shown(redis.call('GET', key))
  end
  return cjson.encode({ type = kind, content = content })
end

local function set_aside(id, job, why)
  local key, run = job_key(id), type(job.r) == 'number' and job.r or 0
  lost[#lost + 1] = id
  emit('quarantined', id, next_version(type(job.v) == 'number' and job.v or 0), now, run, why, told(key))
  redis.call('RENAME', key, P .. 'quarantine:' .. id)
  redis.call('PEXPIRE', P .. 'quarantine:' .. id, QUARANTINE_MS)
  redis.call('ZREM', P .. 'due', id)
  if job.w then
    redis.call('SREM', P .. 'held:' .. job.w, id)
    redis.call('SREM', P .. 'cancel:' .. job.w, id)
  end
  if job.q then
    redis.call('ZREM', P .. 'suspects:' .. job.q, id)
    for class = 0, 4 do
      redis.call('ZREM', P .. 'ready:' .. job.q .. ':' .. class, id)
    end
  end
  if job.q and (WAITING[job.s] or job.s == 'ACTIVE') then
    count(job.q, job.s, -1)
  elseif FINAL[job.s] and run > 0 then
    redis.call('SET', P .. 'done:' .. id, run, 'PX', TOMBSTONE_MS)
    return nil, false
  end
  return nil, true
end

local NUMBERS = { 'r', 'v', 'p', 'd', 'u', 'a', 'g', 'c' }
local function fault(job)
  for _, name in ipairs(NUMBERS) do
    local text = job[name]
    if not text then
      return 'Its field "' .. name .. '" is missing.'
    elseif #text > 15 or not text:find('^%d+$') then
      return 'Its field "' .. name .. '" is not a number.'
    end
    job[name] = tonumber(text)
  end
  if job.p > 4 then
    return 'It has an unknown priority.'
  elseif not (WAITING[job.s] or FINAL[job.s] or job.s == 'ACTIVE') then
    return 'It has an unknown state.'
  elseif not job.q or job.q == '' or not job.n or not job.w then
    return 'Its queue, token or session is missing.'
  elseif (job.n == '') ~= (job.w == '') or (job.s == 'ACTIVE' and job.w == '') then
    return 'Its state, token and session contradict each other.'
  end
end

-- The job of an id, nil where there is none. One that is not sound is set aside, and is none; the second value tells
-- whether it had not ended.
local function read_job(id)
  local key = job_key(id)
  local row = redis.pcall('HMGET', key, 's', 'q', 'n', 'w', 'x', 'r', 'v', 'p', 'd', 'u', 'a', 'g', 'c')
  if row.err then
    return set_aside(id, {}, 'Its key does not hold a hash.')
  end
  local job = {
    id = id, key = key, s = row[1], q = row[2], n = row[3], w = row[4], x = row[5] == '1', r = row[6], v = row[7],
    p = row[8], d = row[9], u = row[10], a = row[11], g = row[12], c = row[13],
  }
  local why = fault(job)
  if not why then
    return job
  end
  if redis.call('EXISTS', key) == 1 then
    return set_aside(id, job, why)
  end
end

-- The scripts that run for each job (step, start, forget) look at no more of it than they need: each field costs. What
-- is not as they expect they leave to read_job.
local function sane(a, b, c, d)
  if not (a and b and c and d) then
    return false
  end
  local sum = a + b + c + d
  return sum < 1e15 and sum % 1 == 0 and math.min(a, b, c, d) >= 0
end

-- A job that this token holds, as its start and its completion need it.
local function read_held(id, token)
  local key = job_key(id)
  local row = redis.pcall('HMGET', key, 's', 'n', 'w', 'q', 'x', 'r', 'v', 'a')
  local s, w, q, r, v, a = row[1], row[3], row[4], tonumber(row[6]), tonumber(row[7]), tonumber(row[8])
  if row[2] == token and w and w ~= '' and q and q ~= '' and (s == 'ACTIVE' or s == 'QUEUED') and sane(r, v, a, 0) then
    return { id = id, key = key, s = s, n = token, w = w, q = q, x = row[5] == '1', r = r, v = v, a = a }
  end
  return read_job(id)
end

-- What is due becomes QUEUED.
local function promote_job(job)
  become(job, 'QUEUED')
  emit('due', job.id, job.v, now, job.r)
end

local function promote(limit)
  local ids = redis.call('ZRANGEBYSCORE', P .. 'due', '-inf', now, 'LIMIT', 0, limit)
  for _, id in ipairs(ids) do
    redis.call('ZREM', P .. 'due', id)
    local job = read_job(id)
    if job and (job.s == 'SCHEDULED' or job.s == 'RETRYING') then
      promote_job(job)
      make_ready(job, false)
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
local function put_back(job)
  redis.call('HSET', job.key, 'n', '', 'w', '')
  make_ready(job, true)
end

-- The attempt is over without an outcome of its own, and does not count. `crashes` is what the job has from now on.
local function requeue(job, session, failure, crashes)
  if job.x then
    become(job, 'CANCELLED')
    emit('cancelled', job.id, job.v, now, job.r, job.a)
  else
    job.c = crashes
    become(job, 'QUEUED', 'c', crashes, 'g', job.g + 1)
    emit('reaped', job.id, job.v, now, job.r, job.a, crashes, session, failure)
    make_ready(job, true)
  end
end

-- The process that ran an active job is gone. The third crash ends the job.
-- `failure` is what is known of it, as JSON, or '' where only the worker is known to be lost.
local function crash_job(job, session, failure)
  local crashes = job.c + 1
  if job.x or crashes < POISON_CRASHES then
    return requeue(job, session, failure, crashes)
  end
  if failure == '' then
    failure = '{"type":"WORKER_LOST","message":"The worker process ended ' .. crashes
      .. ' times while it ran this job."}'
  end
  become(job, 'DEAD', 'c', crashes, 'y', 'POISON', 'e', failure)
  emit('died', job.id, job.v, now, job.r, job.a, 'POISON', failure)
end

-- The job's worker is gone. Tells whether the job ran there.
local function reap_job(id, session)
  local job = read_job(id)
  if not job or job.w ~= session then
    return false
  elseif job.s == 'QUEUED' then
    put_back(job)
    return false
  end
  -- A suspect in a process of its own is not what its worker was lost for, unless that happens again and again.
  local own_process = job.c >= SUSPECT_CRASHES and redis.call('HGET', job.key, 'i') == '1'
  if own_process and redis.call('HINCRBY', job.key, 'l', 1) < LOSSES then
    requeue(job, session, '', job.c)
  else
    crash_job(job, session, '')
  end
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
