-- Short-lived values. What expired is not seen by the time that is passed in; Redis' own expiry only sweeps up.
--
-- KEYS[1] values           ZSET   score: 0, member: the keys of the values
-- ARGV[1] set, add, take, refresh, delete, keys or clear
-- ARGV[2] now, in milliseconds; '' for set, delete and clear
--
-- {kind}:{name}            STRING {expires}:{value}
--
-- set      ARGV: key, value with its expiry, ttl
-- add      the same; 1 if there was none
-- take     ARGV: key; the value with its expiry
-- refresh  ARGV: key, expires, ttl; 1 if there was one
-- delete   ARGV: key…; how many there were
-- keys     ARGV: prefix, last key of the chunk before or '', count; {last key or '', key…} of a chunk
-- clear    ARGV: prefix, count; {1 if there may be more, how many there were}

local verb, now = ARGV[1], tonumber(ARGV[2])

local function split(stored)
    local expires, value = string.match(stored, '^(%-?%d+):(.*)$')
    return tonumber(expires), value
end

local function live(key)
    local stored = redis.call('GET', key)
    if stored then
        local expires, value = split(stored)
        if now < expires then
            return stored, value
        end
    end
    return false
end

local function put(key, stored, ttl)
    redis.call('SET', key, stored, 'PX', ttl)
    redis.call('ZADD', KEYS[1], 0, key)
    -- Redis drops values without telling; two looked at for one written keep the list of keys short.
    for _, other in ipairs(redis.call('ZRANDMEMBER', KEYS[1], 2)) do
        if redis.call('EXISTS', other) == 0 then
            redis.call('ZREM', KEYS[1], other)
        end
    end
end

local function drop(key)
    redis.call('ZREM', KEYS[1], key)
    return redis.call('DEL', key)
end

local function chunk(prefix, after, count)
    local from = after == '' and '[' .. prefix or '(' .. after
    return redis.call('ZRANGEBYLEX', KEYS[1], from, '[' .. prefix .. '\255', 'LIMIT', 0, count)
end

if verb == 'set' then
    put(ARGV[3], ARGV[4], ARGV[5])
    return 1
elseif verb == 'add' then
    if live(ARGV[3]) then
        return 0
    end
    put(ARGV[3], ARGV[4], ARGV[5])
    return 1
elseif verb == 'take' then
    local stored = live(ARGV[3])
    if stored then
        drop(ARGV[3])
    end
    return stored
elseif verb == 'refresh' then
    local stored, value = live(ARGV[3])
    if not stored then
        return 0
    end
    put(ARGV[3], ARGV[4] .. ':' .. value, ARGV[5])
    return 1
elseif verb == 'delete' then
    local count = 0
    for at = 3, #ARGV do
        count = count + drop(ARGV[at])
    end
    return count
elseif verb == 'keys' then
    local found = chunk(ARGV[3], ARGV[4], ARGV[5])
    local answer = { found[tonumber(ARGV[5])] or '' }
    for _, key in ipairs(found) do
        local stored = redis.call('GETRANGE', key, 0, 24)
        if stored ~= '' and now < split(stored) then
            answer[#answer + 1] = key
        end
    end
    return answer
elseif verb == 'clear' then
    local found = chunk(ARGV[3], '', ARGV[4])
    local count = 0
    for _, key in ipairs(found) do
        count = count + drop(key)
    end
    return { found[tonumber(ARGV[4])] and 1 or 0, count }
end
