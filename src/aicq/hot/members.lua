-- Sets whose members each expire by themselves. What expired is not seen by the time that is passed in; Redis' own expiry
-- only sweeps up.
--
-- KEYS[1] {kind}:{name}  ZSET  score: expires, member: a member's name
-- ARGV[1] add, join, remove, expiries or count
-- ARGV[2] now, in milliseconds; '' for remove
--
-- add     ARGV: ttl, then key, name and expires of each
-- join    ARGV: ttl, most, then the same; for each 1 if there were fewer others
-- remove  ARGV: key and name of each
-- expiries  ARGV: key…; the names of each, each followed by its expiry
-- count     ARGV: key…; how many each has

local verb, now = ARGV[1], tonumber(ARGV[2])
local LEEWAY = 60000 -- another process' clock may be behind

local function put(key, name, expires)
    redis.call('ZADD', key, expires, name)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - LEEWAY)
    if redis.call('PTTL', key) < tonumber(ARGV[3]) then
        redis.call('PEXPIRE', key, ARGV[3])
    end
end

local function others(key, name)
    local own = redis.call('ZSCORE', key, name)
    local count = redis.call('ZCOUNT', key, '(' .. now, '+inf')
    return own and now < tonumber(own) and count - 1 or count
end

local answers = {}
if verb == 'add' then
    for at = 4, #ARGV, 3 do
        put(ARGV[at], ARGV[at + 1], ARGV[at + 2])
    end
elseif verb == 'join' then
    for at = 5, #ARGV, 3 do
        local has_room = others(ARGV[at], ARGV[at + 1]) < tonumber(ARGV[4])
        if has_room then
            put(ARGV[at], ARGV[at + 1], ARGV[at + 2])
        end
        answers[#answers + 1] = has_room and 1 or 0
    end
elseif verb == 'remove' then
    for at = 3, #ARGV, 2 do
        redis.call('ZREM', ARGV[at], ARGV[at + 1])
    end
elseif verb == 'expiries' then
    for at = 3, #ARGV do
        answers[#answers + 1] = redis.call('ZRANGEBYSCORE', ARGV[at], '(' .. now, '+inf', 'WITHSCORES')
    end
elseif verb == 'count' then
    for at = 3, #ARGV do
        answers[#answers + 1] = redis.call('ZCOUNT', ARGV[at], '(' .. now, '+inf')
    end
end
return answers
