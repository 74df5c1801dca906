-- Take jobs in. A job that is known with this run or a newer one is left as it is.
-- request  { deadline_ms, recovered, jobs: { id, run, queue, task, priority, due_ms, spec, in_store, attempts, uncharged,
--            crashes, recoveries, checkpoint } ... }
-- answer   { outcome ... }: "NEW", "KNOWN", or "LATE" for all where the deadline has passed
local deadline, recovered, jobs = request[1], request[2], request[3]
local answer = {}
for i, job in ipairs(jobs) do
  local id, run, queue, task, priority, due, spec, in_store, attempts, uncharged, crashes, recoveries, checkpoint =
    unpack(job, 1, 13)
  local key = job_key(id)
  local known = tonumber(redis.call('HGET', key, 'r') or redis.call('GET', P .. 'done:' .. id) or 0)
  if known >= run then
    answer[i] = 'KNOWN'
  elseif now > deadline then
    answer[i] = 'LATE'
  else
    local state = due > now and 'SCHEDULED' or 'QUEUED'
    local version = next_version(0)
    local s, q = unpack(redis.call('HMGET', key, 's', 'q'))
    if s and not FINAL[s] then
      redis.call('ZREM', P .. 'due', id)
      count(q, s, -1)
    end
    redis.call('DEL', key)
    redis.call('HSET', key, 's', state, 'r', run, 'v', version, 'q', queue, 't', task, 'p', priority, 'b', spec,
      'd', due, 'u', now, 'a', attempts, 'g', uncharged, 'c', crashes, 'n', '', 'rc', recoveries)
    if checkpoint ~= '' then
      redis.call('HSET', key, 'cp', checkpoint)
    end
    emit('enqueued', id, version, now, run, state, queue, task, priority, due, recovered, in_store and '' or spec)
    count(queue, state, 1)
    if state == 'QUEUED' then
      make_ready(id, queue, priority, false, crashes)
    else
      make_due(id, queue, due)
    end
    answer[i] = 'NEW'
  end
end
return commit(answer)
