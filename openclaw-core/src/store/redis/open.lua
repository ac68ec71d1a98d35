-- Makes the store where there is none, and tries every right a commit needs.
local rows, index, due, meta = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
for at, kind in ipairs({ 'hash', 'zset', 'zset', 'hash' }) do
  local found = redis.call('TYPE', KEYS[at]).ok
  if found ~= kind and found ~= 'none' then
    return redis.error_reply('FOREIGN ' .. found)
  end
end
local kept = redis.call('HMGET', meta, 'format', 'version', 'time')
if kept[1] and kept[1] ~= '1' then
  return redis.error_reply('LAYOUT ' .. kept[1])
end
if kept[1] and not (tonumber(kept[2]) and tonumber(kept[3])) then
  return redis.error_reply('TORN its counters are no numbers')
end
if not kept[1] and redis.call('EXISTS', rows, index, due, meta) > 0 then
  return redis.error_reply('LAYOUT none')
end
redis.call('TIME')
redis.call('HGET', rows, '')
redis.call('HMGET', rows, '')
redis.call('HLEN', rows)
redis.call('ZCARD', index)
redis.call('ZRANGEBYLEX', index, '-', '+', 'LIMIT', 0, 1)
redis.call('ZREVRANGEBYLEX', index, '+', '-', 'LIMIT', 0, 1)
redis.call('ZRANGEBYSCORE', due, '-inf', '-inf', 'LIMIT', 0, 1)
-- A name longer than any key: nothing is there, and nothing is made.
local nobody = string.rep('\255', 512)
redis.call('HDEL', rows, nobody)
redis.call('ZREM', index, nobody)
redis.call('ZADD', due, 'XX', '0', nobody)
if not kept[1] then
  redis.call('HSET', meta, 'format', '1', 'version', '0', 'time', '0')
else
  local done = redis.pcall('HSET', meta, 'format', '1')
  -- Who has no memory left can still read and delete.
  if type(done) == 'table' and done.err and not string.find(done.err, 'OOM', 1, true) then
    return done
  end
end
return 1
