-- Takes tokens of a quota that replicas share (GCRA, ITU-T I.371), by Redis's own clock.
-- KEYS[1]: the quota. ARGV: microseconds in which one token is earned, burst, tokens wanted (at most the burst),
-- how far ahead they may be reserved (microseconds), tokens used already without having asked.
-- Answers with tokens given, microseconds until they count, or until there may be some; microseconds of a pause.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, burst, wanted, ahead = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local known = redis.call('HMGET', KEYS[1], 'earned', 'paused')
local paused = tonumber(known[2] or 0) - now
if paused > 0 then
    return { 0, paused, paused }
end
local earned = math.max(tonumber(known[1] or 0), now) + tonumber(ARGV[5]) * interval
local depth = interval * burst
local given = math.min(wanted, math.floor((now + depth - earned) / interval))
local from = now
if given < 1 then
    given = wanted
    from = earned + given * interval - depth
    if from > now + ahead then
        given = 1
        from = earned + interval - depth
    end
    if from > now + ahead then
        given = 0
    end
end
earned = earned + given * interval
redis.call('HSET', KEYS[1], 'earned', string.format('%.3f', earned))
redis.call('PEXPIRE', KEYS[1], math.ceil((earned - now) / 1000) + 1000)
return { given, math.ceil(from - now), 0 }
