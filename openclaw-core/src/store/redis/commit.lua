-- Several transactions in order. Whatever can fail comes before the first write of the script.
local version = tonumber(kept[2])
local fatal, full, wrote, scheduled = nil, false, false, 0

-- A key that is of another kind fails here, not half way.
redis.call('HLEN', rows)
redis.call('ZCARD', index)
redis.call('ZCARD', due)

local function stored(key)
  return redis.call('HGET', rows, key)
end

local function expiry(ttl)
  if ttl == '' then
    return NEVER
  end
  local hi, lo = struct.unpack('>I4I4', ttl)
  hi, lo = hi + now_hi, lo + now_lo
  if lo >= M then
    hi, lo = hi + 1, lo - M
  end
  return hi >= M and NEVER or struct.pack('>I4I4', hi, lo)
end

-- Numbers of 64 bits in two halves: a double holds 53.
local function number(value)
  if #value ~= 8 then
    return false
  end
  local hi, lo = struct.unpack('>i4I4', value)
  return { hi, lo }
end

local function sum_of(a, b)
  local hi, lo = a[1] + b[1], a[2] + b[2]
  if lo >= M then
    hi, lo = hi + 1, lo - M
  end
  return hi >= -2147483648 and hi <= 2147483647 and { hi, lo }
end

local function at_most(a, b)
  return a[1] < b[1] or (a[1] == b[1] and a[2] <= b[2])
end

local function holds(kind, row, wanted)
  if kind == 'a' then
    return not row
  elseif kind == 'v' then
    return row and string.sub(row, 1, 8) == wanted
  end
  return row
end

-- The first guard that does not hold; reads all of them.
local function check(count)
  local lost = nil
  for at = 1, count do
    local kind, key, wanted = arg(), arg(), arg()
    local row = not lost and live(stored(key))
    if not lost and not holds(kind, row, wanted) then
      lost = { 0, at - 1, row }
    end
  end
  return lost
end

local function operations(count)
  local ops = {}
  for at = 1, count do
    ops[at] = { kind = arg(), key = arg(), value = arg(), ttl = arg(), low = arg(), high = arg() }
  end
  return ops
end

-- The sums of all adds, or the first one that may not be.
local function add_all(ops, guards)
  local left, sums = {}, {}
  for at, op in ipairs(ops) do
    if op.kind == '+' then
      local row = live(stored(op.key))
      local before = left[op.key]
      if before == nil then
        before = row and number(string.sub(row, 17)) or (not row and { 0, 0 })
      end
      local sum = before and sum_of(before, number(op.value))
      local fits = sum and (op.low == ''
        or (at_most(number(op.low), sum) and at_most(sum, number(op.high))))
      if not fits then
        return nil, { 0, guards + at - 1, row }
      end
      left[op.key] = sum
      sums[#sums + 1] = struct.pack('>i4I4', sum[1], sum[2])
    elseif op.kind == 'P' then
      left[op.key] = number(op.value)
    elseif op.kind == 'D' then
      left[op.key] = { 0, 0 }
    end
  end
  return sums
end

-- The rows as the operations leave them: false where one is gone.
local function changes(ops, head, sums)
  local left, order, place, added = {}, {}, 0, 0
  local function put(key, row)
    if left[key] == nil then
      order[#order + 1] = key
    end
    left[key] = row
  end
  for _, op in ipairs(ops) do
    if op.kind == 'P' then
      put(op.key, head .. expiry(op.ttl) .. op.value)
    elseif op.kind == 'D' then
      put(op.key, false)
    elseif op.kind == 'A' then
      put(op.key .. head .. struct.pack('>I2', place), head .. expiry(op.ttl) .. op.value)
      place = place + 1
    elseif op.kind == '+' then
      added = added + 1
      put(op.key, head .. expiry(op.ttl) .. sums[added])
    else
      local row = left[op.key]
      if row == nil then
        row = stored(op.key)
      end
      row = live(row)
      if row then
        put(op.key, string.sub(row, 1, 8) .. expiry(op.ttl) .. string.sub(row, 17))
      end
    end
  end
  return left, order
end

-- The same as lists for the commands that write them.
local function lists(left, order)
  local set, add, soon, never, gone = {}, {}, {}, {}, {}
  for _, key in ipairs(order) do
    local row = left[key]
    if row then
      set[#set + 1], set[#set + 2] = key, row
      add[#add + 1], add[#add + 2] = '0', key
      local hi, lo = struct.unpack('>I4I4', row, 9)
      if string.sub(row, 9, 16) == NEVER then
        never[#never + 1] = key
      else
        soon[#soon + 1], soon[#soon + 2] = digits(hi * M + lo), key
      end
    else
      gone[#gone + 1] = key
    end
  end
  return set, add, soon, never, gone
end

-- Writes all of it, or nothing. Redis refuses a script for its state (memory, disk, role) only
-- at the first write; one that only frees space passes when there is none.
local function write(left, order)
  local set, add, soon, never, gone = lists(left, order)
  if #set == 0 then
    each('HDEL', rows, gone)
  end
  local done = redis.pcall('HSET', meta, 'version', digits(version + 1), 'time', digits(now))
  if type(done) == 'table' and done.err then
    full = string.find(done.err, 'OOM', 1, true) ~= nil
    fatal = not full and done or nil
    return false
  end
  each('HSET', rows, set)
  each('ZADD', index, add)
  each('ZADD', due, soon)
  each('ZREM', due, never)
  each('HDEL', rows, gone)
  each('ZREM', index, gone)
  each('ZREM', due, gone)
  wrote, version, scheduled = true, version + 1, scheduled + #soon
  return true
end

local function commit()
  local guards, count = tonumber(arg()), tonumber(arg())
  local lost = check(guards)
  local ops = operations(count)
  if lost then
    return lost
  end
  local sums, refused = add_all(ops, guards)
  if not sums then
    return refused
  end
  local next_version = version + 1
  if next_version >= 9007199254740992 then
    return { 3 }
  end
  local head = struct.pack('>I4I4', math.floor(next_version / M), next_version % M)
  if not write(changes(ops, head, sums)) then
    return { 2 }
  end
  return { 1, version, unpack(sums) }
end

local answer = { now }
for _ = 1, tonumber(arg()) do
  answer[#answer + 1] = commit()
  if fatal then
    return fatal
  end
end
if wrote or full then
  sweep(32 + scheduled)
end
return answer
