-- Take jobs in. A job that is known with this run or a newer one is left as it is.
-- request  { deadline_ms, recovered, jobs: { id, run, queue, task, priority, due_ms, spec, in_store, attempts, uncharged,
--            crashes, recoveries, checkpoint, version, cancelled: it ends here } ... }
-- answer   { outcome ... }: "NEW", "KNOWN", or "LATE" for all where the deadline has passed
-- A push has PUSH_MS to arrive. One that was sent before this epoch began is late too: its job may have run and
-- been forgotten in an earlier one.
local PUSH_MS = 10000
local deadline, recovered, jobs = request[1], request[2], request[3]
local began = tonumber(redis.call('GET', P .. 'began') or 0)
local late = now > deadline or deadline < began + PUSH_MS
local answer = {}
for i, item in ipairs(jobs) do
  local id, run, queue, task, priority, due, spec, in_store, attempts, uncharged, crashes, recoveries, checkpoint, version,
    cancelled = unpack(item, 1, 15)
  due = moment(due)
  local key = job_key(id)
  local known = redis.call('EXISTS', key) == 1 and read_job(id)
  local newest = known and known.r or tonumber(redis.call('GET', P .. 'done:' .. id) or 0)
  if newest >= run then
    answer[i] = 'KNOWN'
  elseif late then
    answer[i] = 'LATE'
  else
    if known then
      if not FINAL[known.s] then
        leave(known)
        count(known.q, known.s, -1)
      end
      redis.call('DEL', key)
    end
    local state = due > now and 'SCHEDULED' or 'QUEUED'
    local job = {
      id = id, key = key, s = state, r = run, q = queue, p = priority, c = crashes, v = next_version(version),
    }
    redis.call('HSET', job.key, 's', state, 'r', run, 'v', job.v, 'q', queue, 't', task, 'p', priority, 'b', spec,
      'd', due, 'u', now, 'a', attempts, 'g', uncharged, 'c', crashes, 'n', '', 'w', '', 'rc', recoveries)
    if checkpoint ~= '' then
      redis.call('HSET', job.key, 'cp', checkpoint)
    end
    emit('enqueued', id, job.v, now, run, state, queue, task, priority, due, recovered, in_store and '' or spec)
    count(queue, state, 1)
    if cancelled then
      become(job, 'CANCELLED')
      emit('cancelled', id, job.v, now, run, 0)
    elseif state == 'QUEUED' then
      make_ready(job, false)
    else
      make_due(job, due)
    end
    answer[i] = 'NEW'
  end
end
return commit(answer)
