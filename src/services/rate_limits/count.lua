-- Counts a request against a limit that replicas share (GCRA, ITU-T I.371), by Redis's own clock.
-- KEYS[1]: the client under the limit. ARGV: microseconds in which one request is earned back, microseconds of the
-- window, 1 to count or 0 to ask only.
-- Answers with how far ahead of what it earned the client is, and how much that is too far; microseconds both.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local earned = math.max(tonumber(redis.call('GET', KEYS[1]) or 0), now)
local after = earned + interval
local over = after - now - window
if over > 0 or ARGV[3] ~= '1' then
    return { earned - now, math.max(over, 0) }
end
redis.call('SET', KEYS[1], string.format('%.0f', after), 'PX', math.ceil((after - now) / 1000))
return { after - now, 0 }
