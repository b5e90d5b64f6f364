-- Sets whose members each expire by themselves. What expired is not seen by the time that is passed in; Redis' own expiry
-- only sweeps up.
--
-- KEYS[1] {kind}:{name}  ZSET  score: expires, member: a member's name
-- ARGV[1] add, join, names or count
-- ARGV[2] now, in milliseconds
--
-- add    ARGV: ttl, then key, name and expires of each
-- join   ARGV: key, name, expires, ttl, most; 1 if there were fewer others
-- names  ARGV: key…; the names of each
-- count  ARGV: key…; how many each has

local verb, now = ARGV[1], tonumber(ARGV[2])
local LEEWAY = 60000 -- another process' clock may be behind

local function put(key, name, expires, ttl)
    redis.call('ZADD', key, expires, name)
    redis.call('ZREMRANGEBYSCORE', key, '-inf', now - LEEWAY)
    if redis.call('PTTL', key) < tonumber(ttl) then
        redis.call('PEXPIRE', key, ttl)
    end
end

if verb == 'add' then
    for at = 4, #ARGV, 3 do
        put(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[3])
    end
    return 1
elseif verb == 'join' then
    local key, name = ARGV[3], ARGV[4]
    local others = redis.call('ZCOUNT', key, '(' .. now, '+inf')
    local own = redis.call('ZSCORE', key, name)
    if own and now < tonumber(own) then
        others = others - 1
    end
    if others >= tonumber(ARGV[7]) then
        return 0
    end
    put(key, name, ARGV[5], ARGV[6])
    return 1
end

local answers = {}
for at = 3, #ARGV do
    if verb == 'names' then
        answers[#answers + 1] = redis.call('ZRANGEBYSCORE', ARGV[at], '(' .. now, '+inf')
    else
        answers[#answers + 1] = redis.call('ZCOUNT', ARGV[at], '(' .. now, '+inf')
    end
end
return answers
