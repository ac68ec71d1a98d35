-- Gives out only higher versions from now on.
local least = tonumber(arg())
if least > tonumber(kept[2]) then
  redis.call('HSET', meta, 'version', digits(least))
end
return { now, 1 }
