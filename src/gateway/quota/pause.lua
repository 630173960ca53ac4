-- Pauses a quota for all replicas. KEYS[1]: the quota. ARGV: microseconds from now.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local pause = tonumber(ARGV[1])
if now + pause > tonumber(redis.call('HGET', KEYS[1], 'paused') or 0) then
    redis.call('HSET', KEYS[1], 'paused', string.format('%.0f', now + pause))
end
if redis.call('PTTL', KEYS[1]) < pause / 1000 + 1000 then
    redis.call('PEXPIRE', KEYS[1], math.ceil(pause / 1000) + 1000)
end
return 1
