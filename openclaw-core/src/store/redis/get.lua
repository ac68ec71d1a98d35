-- Rows by their keys, expired ones left out.
local answer = { now }
for from = read_args + 1, #ARGV, 1000 do
  local found = redis.call('HMGET', rows, unpack(ARGV, from, math.min(from + 999, #ARGV)))
  for at = 1, #found do
    answer[#answer + 1] = live(found[at])
  end
end
return answer
