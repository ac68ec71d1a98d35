-- Clears expired rows away; tells how many.
return { now, sweep(tonumber(arg())) }
