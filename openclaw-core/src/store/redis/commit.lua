-- Several transactions in order, each on what those before it left. Rows are read at once at the
-- beginning and written at once at the end: whatever can fail comes before the first write.
local before, version = tonumber(kept[2]), 0

-- A key that is of another kind fails here, not half way.
redis.call('HLEN', rows)
redis.call('ZCARD', index)
redis.call('ZCARD', due)

-- The rows as they are by now: `false` where there is none, nothing where none was read.
local state = {}
local wanted = {}

local function want(key)
  if state[key] == nil then
    state[key] = false
    wanted[#wanted + 1] = key
  end
  return key
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

-- The guards and operations of one transaction. Its first argument has a letter for each.
local function transaction()
  local guards, ops = {}, {}
  local shape = arg()
  local ends = string.find(shape, '|', 1, true)
  for at = 1, ends - 1 do
    local kind = string.sub(shape, at, at)
    guards[at] = { kind = kind, key = want(arg()), wanted = kind == 'v' and arg() }
  end
  for at = ends + 1, #shape do
    local op = { kind = string.sub(shape, at, at), key = arg() }
    if op.kind == 'T' or op.kind == '+' then
      want(op.key)
    end
    if op.kind ~= 'D' then
      op.ttl = arg()
    end
    if op.kind ~= 'D' and op.kind ~= 'T' then
      op.value = arg()
    end
    if op.kind == '+' then
      op.low, op.high = arg(), arg()
    end
    ops[at - ends] = op
  end
  return { guards = guards, ops = ops }
end

local function read()
  for from = 1, #wanted, 1000 do
    local found = redis.call('HMGET', rows, unpack(wanted, from, math.min(from + 999, #wanted)))
    for at = 1, #found do
      state[wanted[from + at - 1]] = found[at]
    end
  end
end

-- The first guard that does not hold.
local function check(guards)
  for at, guard in ipairs(guards) do
    local row = live(state[guard.key])
    if not holds(guard.kind, row, guard.wanted) then
      return { 0, at - 1, row }
    end
  end
end

-- The sums of all adds, or the first one that may not be.
local function add_all(ops, guards)
  local left, sums = {}, {}
  for at, op in ipairs(ops) do
    if op.kind == '+' then
      local row = live(state[op.key])
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
        row = state[op.key]
      end
      row = live(row)
      if row then
        put(op.key, string.sub(row, 1, 8) .. expiry(op.ttl) .. string.sub(row, 17))
      end
    end
  end
  return left, order
end

-- Does this take no memory, and free some?
local function only_frees(left, order)
  for _, key in ipairs(order) do
    if left[key] then
      return false
    end
  end
  return #order > 0
end

-- One transaction; its rows go into `state`, their keys into `changed`. Without memory only those
-- that free some are let through.
local function commit(txn, changed, full)
  local lost = check(txn.guards)
  if lost then
    return lost
  end
  local sums, refused = add_all(txn.ops, #txn.guards)
  if not sums then
    return refused
  end
  local next_version = version + 1
  if next_version >= 9007199254740992 then
    return { 3 }
  end
  local head = struct.pack('>I4I4', math.floor(next_version / M), next_version % M)
  local left, order = changes(txn.ops, head, sums)
  if full and not only_frees(left, order) then
    return { 2 }
  end
  for _, key in ipairs(order) do
    if not changed[key] then
      changed[key], changed[#changed + 1] = true, key
    end
    state[key] = left[key]
  end
  version = next_version
  return { 1, version, unpack(sums) }
end

-- All of them, from the beginning.
local function commit_all(txns, full)
  local answer, changed = { now }, {}
  version = before
  for at, txn in ipairs(txns) do
    answer[at + 1] = commit(txn, changed, full)
  end
  return answer, changed
end

-- What changed, as lists for the commands that write it.
local function lists(changed)
  local set, add, soon, never, gone = {}, {}, {}, {}, {}
  for _, key in ipairs(changed) do
    local row = state[key]
    if not row then
      gone[#gone + 1] = key
    else
      set[#set + 1], set[#set + 2] = key, row
      add[#add + 1], add[#add + 2] = '0', key
      if string.sub(row, 9, 16) == NEVER then
        never[#never + 1] = key
      else
        local hi, lo = struct.unpack('>I4I4', row, 9)
        soon[#soon + 1], soon[#soon + 2] = digits(hi * M + lo), key
      end
    end
  end
  return set, add, soon, never, gone
end

-- Writes all of it, or nothing. Redis refuses a script for its state (memory, disk, role) only
-- at the first write; one that only frees space passes when there is none.
local function write(changed)
  local set, add, soon, never, gone = lists(changed)
  if #set == 0 then
    each('HDEL', rows, gone)
  end
  local done = redis.pcall('HSET', meta, 'version', digits(version), 'time', digits(now))
  if type(done) == 'table' and done.err then
    return done
  end
  each('HSET', rows, set)
  each('ZADD', index, add)
  each('ZADD', due, soon)
  each('ZREM', due, never)
  each('HDEL', rows, gone)
  each('ZREM', index, gone)
  each('ZREM', due, gone)
  sweep(32 + #soon)
end

local txns = {}
for at = 1, tonumber(arg()) do
  txns[at] = transaction()
end
read()
local answer, changed = commit_all(txns, false)
local refused = version > before and write(changed)
if refused and string.find(refused.err, 'OOM', 1, true) then
  read()
  answer, changed = commit_all(txns, true)
  refused = version > before and write(changed)
  sweep(32)
end
return refused or answer
