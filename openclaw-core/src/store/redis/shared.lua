-- What every script has: the four keys, the arguments one by one, the store's time.
local rows, index, due, meta = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local M = 4294967296
local NEVER = string.rep('\255', 8)
local read_args = 0

local function arg()
  read_args = read_args + 1
  return ARGV[read_args]
end

-- A number as decimal digits: Lua's own would end in an exponent.
local function digits(n)
  return string.format('%.0f', n)
end

local kept = redis.call('HMGET', meta, 'format', 'version', 'time')
if kept[1] ~= '1' then
  return redis.error_reply('LAYOUT ' .. (kept[1] or 'none'))
end

-- The caller's clock or the server's, never behind what a commit or this caller has seen.
local now = tonumber(arg())
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
now = math.max(now, tonumber(arg()), tonumber(kept[3]))
local now_hi, now_lo = math.floor(now / M), now % M

-- The row, if it is there and has not expired. A row: version, expiry (be64 each), value.
local function live(row)
  if not row then
    return false
  end
  local hi, lo = struct.unpack('>I4I4', row, 9)
  return (hi > now_hi or (hi == now_hi and lo > now_lo)) and row
end

-- Calls a command with a long list, some of it at a time.
local function each(command, key, list)
  for from = 1, #list, 1000 do
    redis.call(command, key, unpack(list, from, math.min(from + 999, #list)))
  end
end

-- Clears away up to this many rows that have expired.
local function sweep(limit)
  local gone = redis.call('ZRANGEBYSCORE', due, '-inf', digits(now), 'LIMIT', 0, limit)
  each('HDEL', rows, gone)
  each('ZREM', index, gone)
  each('ZREM', due, gone)
  return #gone
end
