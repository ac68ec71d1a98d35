-- A page: now, whether more may follow, then keys and rows. Nothing but now and -1 when so many
-- rows in a row have expired that they must be cleared away first.
local low, high, backwards, limit = arg(), arg(), arg() ~= '', tonumber(arg())
local most_bytes, most_expired = tonumber(arg()), tonumber(arg())
local answer, found, bytes, expired = { now, 0 }, 0, 0, 0

while true do
  local wanted = math.min(limit - found + 1, 256)
  local keys
  if backwards then
    keys = redis.call('ZREVRANGEBYLEX', index, high, low, 'LIMIT', 0, wanted)
  else
    keys = redis.call('ZRANGEBYLEX', index, low, high, 'LIMIT', 0, wanted)
  end
  if #keys == 0 then
    return answer
  end
  for _, key in ipairs(keys) do
    local row = redis.call('HGET', rows, key)
    if not row then
      return redis.error_reply('TORN a key of the index has no row')
    elseif not live(row) then
      expired = expired + 1
    elseif found == limit or (found > 0 and bytes + #row > most_bytes) then
      answer[2] = 1
      return answer
    else
      found, bytes = found + 1, bytes + #row
      answer[#answer + 1], answer[#answer + 2] = key, row
    end
  end
  if #keys < wanted then
    return answer
  elseif expired >= most_expired then
    return { now, -1 }
  end
  if backwards then
    high = '(' .. keys[#keys]
  else
    low = '(' .. keys[#keys]
  end
end
