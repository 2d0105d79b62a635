-- One step of the ledger, atomic over all buckets of a call. Every key has the hash tag {taximeter}: one slot, one node.
--
-- KEYS  1 the hold, 2 the index of holds by expiry, 3 the generation of these counters, 4.. the buckets
-- ARGV  1 operation, 2 now (us), 3 expiry of the hold (us), 4 event id, 5 flags, 6 life of an ended hold (ms);
--       then for each bucket: amount, cap or -1, step or "", reach, life of the counter (ms), transient 0|1
--
-- A bucket is a hash: `h` held, `s` spent; of a rolling window a field for each step instead of `s`.
-- A hold is a hash: `state`, and for each bucket's key `h:` held, `p:` posted, `m:` its step, `t:` transient.
-- Answers {1, ...} done, {0, ...} does not fit, {2} ended before, {3, keys...} buckets of the hold were not named,
-- {5} known already,
-- {4} these counters have no generation: they came back empty, so nothing fits and nothing ends until they are filled;
-- ... is spent and held of each bucket. Whole numbers up to 2^53 are exact in Lua; beyond it no limit can go.
local operation, now, expires, event_id, flags = ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local hold, index = KEYS[1], KEYS[2]
local buckets = #KEYS - 3

local function given(i, what) return ARGV[6 + (i - 1) * 6 + what] end
local function whole(number) return string.format('%.0f', number) end

-- Of a rolling window: what is in it when it ends at the step. When something is in later steps, for a call that began
-- a while ago or by a clock behind others, the fullest window that the step is in. What left four windows ago is deleted;
-- a step that lies ahead of now, by another's clock, makes nothing deleted.
local function spent_of(i)
  local key = KEYS[3 + i]
  if given(i, 3) == '' then return tonumber(redis.call('HGET', key, 's') or '0') end
  local at, reach = tonumber(given(i, 3)), tonumber(given(i, 4))
  local length, spent, later, rows = at - reach, 0, {}, redis.call('HGETALL', key)
  local amounts, order = {}, {}
  local oldest = (tonumber(now) > 0 and math.min(at, tonumber(now)) or at) - 4 * length
  for r = 1, #rows, 2 do
    local step = tonumber(rows[r])
    if step and step < oldest then
      redis.call('HDEL', key, rows[r])
    elseif step and step >= reach and step <= at + length then
      amounts[step] = tonumber(rows[r + 1])
      order[#order + 1] = step
      if step <= at then spent = spent + amounts[step] else later[#later + 1] = step end
    end
  end
  if #later == 0 then return spent end
  table.sort(order)
  table.sort(later)
  local most, first = spent, 1
  for _, last in ipairs(later) do
    spent = spent + amounts[last]
    while order[first] < last - length do
      spent = spent - amounts[order[first]]
      first = first + 1
    end
    if spent > most then most = spent end
  end
  return most
end

local function held_of(i) return tonumber(redis.call('HGET', KEYS[3 + i], 'h') or '0') end

local function standings(first)
  local answer = {first}
  for i = 1, buckets do
    answer[#answer + 1] = whole(spent_of(i))
    answer[#answer + 1] = whole(held_of(i))
  end
  return answer
end

local function empty() return redis.call('EXISTS', KEYS[3]) == 0 end

local function post(key, step, amount)
  if amount ~= 0 then redis.call('HINCRBY', key, step == '' and 's' or step, whole(amount)) end
end

-- A counter lives as long as the longest that was asked for: an event of a while ago does not end it sooner.
local function live(key, life)
  if redis.call('PTTL', key) < tonumber(life) then redis.call('PEXPIRE', key, life) end
end

local function hold_more()
  for i = 1, buckets do
    local cap = tonumber(given(i, 2))
    if cap >= 0 and empty() then return {4} end
    if cap >= 0 and spent_of(i) + held_of(i) + tonumber(given(i, 1)) > cap then return standings(0) end
  end
  for i = 1, buckets do
    local key = KEYS[3 + i]
    redis.call('HINCRBY', key, 'h', given(i, 1))
    live(key, given(i, 5))
    redis.call('HINCRBY', hold, 'h:' .. key, given(i, 1))
    redis.call('HSET', hold, 'm:' .. key, given(i, 3), 't:' .. key, given(i, 6))
  end
  redis.call('HSET', hold, 'state', 'open')
  redis.call('ZADD', index, expires, event_id)
  return {1}
end

-- A counter whose life was over meanwhile began anew, without what was held of it.
local function release(key)
  local held = tonumber(redis.call('HGET', hold, 'h:' .. key) or '0')
  local left = held == 0 and 0 or math.min(held, tonumber(redis.call('HGET', key, 'h') or '0'))
  if left > 0 then redis.call('HINCRBY', key, 'h', whole(-left)) end
  return held
end

local function posted_of(key) return tonumber(redis.call('HGET', hold, 'p:' .. key) or '0') end

local function unnamed()
  local named, missing, fields = {}, {3}, redis.call('HKEYS', hold)
  for i = 1, buckets do named[KEYS[3 + i]] = true end
  for _, field in ipairs(fields) do
    if string.sub(field, 1, 2) == 'm:' and not named[string.sub(field, 3)] then
      missing[#missing + 1] = string.sub(field, 3)
    end
  end
  return missing
end

-- A bucket with the amount "" was named only because the hold has something there: it is given back.
local function settle()
  if empty() then return {4} end
  local state = redis.call('HGET', hold, 'state')
  if state == 'ended' then
    if flags == 'last' then redis.call('PEXPIRE', hold, ARGV[6]) end
    return {2}
  end
  local missing = unnamed()
  if #missing > 1 then return missing end
  for i = 1, buckets do
    local key, amount = KEYS[3 + i], tonumber(given(i, 1) == '' and '0' or given(i, 1))
    local posted, held = posted_of(key), release(key)
    if string.find(flags, 'bound') and amount < held + posted then amount = held + posted end
    if given(i, 6) ~= '1' then
      local step = redis.call('HGET', hold, 'm:' .. key) or given(i, 3)
      post(key, step, amount - posted)
      live(key, given(i, 5))
    end
  end
  redis.call('DEL', hold)
  redis.call('HSET', hold, 'state', 'ended')
  redis.call('PEXPIRE', hold, ARGV[6])
  redis.call('ZREM', index, event_id)
  return standings(1)
end

local function void_or_expire()
  local state = redis.call('HGET', hold, 'state')
  if state == 'ended' or (operation == 'expire' and state ~= 'open') then return {2} end
  local missing = unnamed()
  if #missing > 1 then return missing end
  for i = 1, buckets do
    local key = KEYS[3 + i]
    local posted, held = posted_of(key), release(key)
    local step, transient = redis.call('HGET', hold, 'm:' .. key) or '', redis.call('HGET', hold, 't:' .. key)
    if operation == 'void' and transient ~= '1' then
      post(key, step, -posted)
    elseif operation == 'expire' then
      redis.call('HSET', hold, 'h:' .. key, '0')
      if transient ~= '1' then
        post(key, step, held)
        redis.call('HSET', hold, 'p:' .. key, whole(posted + held))
      end
    end
    live(key, ARGV[6])
  end
  redis.call('ZREM', index, event_id)
  if operation == 'void' then
    redis.call('DEL', hold)
  elseif redis.call('EXISTS', hold) == 1 then
    redis.call('HSET', hold, 'state', 'expired')
    redis.call('PEXPIRE', hold, ARGV[6])
  end
  return {1}
end

-- What is booked in the steps from the reach to the given one.
local function booked_of(i)
  local key, at, reach = KEYS[3 + i], tonumber(given(i, 3)), tonumber(given(i, 4))
  if not at then return tonumber(redis.call('HGET', key, 's') or '0') end
  local booked, rows = 0, redis.call('HGETALL', key)
  for r = 1, #rows, 2 do
    local step = tonumber(rows[r])
    if step and step >= reach and step <= at then booked = booked + tonumber(rows[r + 1]) end
  end
  return booked
end

local function raise()
  for i = 1, buckets do
    local key, missing = KEYS[3 + i], tonumber(given(i, 1)) - booked_of(i)
    if missing > 0 then post(key, given(i, 3), missing) end
    live(key, given(i, 5))
  end
  return {1}
end

if operation == 'reserve' then
  if redis.call('EXISTS', hold) == 1 then return {5} end
  return hold_more()
elseif operation == 'extend' then
  if empty() then return {4} end
  if redis.call('HGET', hold, 'state') ~= 'open' then return standings(0) end
  return hold_more()
elseif operation == 'settle' then
  return settle()
elseif operation == 'void' or operation == 'expire' then
  return void_or_expire()
elseif operation == 'raise' then
  return raise()
end
return standings(1)
