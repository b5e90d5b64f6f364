-- What the scripts of `messages` share; it stands before each of them.
--
-- KEYS[1] epoch                        STRING {epoch}:{run_id}
-- ARGV[1] the mark that is expected
-- ARGV[2] the arguments, as MessagePack
--
-- room:{room_id}:messages              ZSET   score: milliseconds, member: wire form, beginning with {"id":"<26 characters>"
-- room:{room_id}:span                  HASH   last, public
-- search:words:{word}                  ZSET   score: milliseconds, member: room_id:message_id
-- search:rooms:{room_id}:{word}        ZSET   score: milliseconds, member: message_id
--
-- Of equal scores Redis sorts by member: by id within a room, by room and id among the words.

if redis.call('GET', KEYS[1]) ~= ARGV[1] then
    return 'stale'
end

local arguments = cmsgpack.unpack(ARGV[2])

local function id_of(wire)
    return string.sub(wire, 8, 33)
end

local function is_stub(wire)
    return string.byte(wire, 35) == 125 -- }
end

-- How many entries stand before this id; `score` is the id's own time.
local function rank_of(messages, score, id)
    local low = redis.call('ZCOUNT', messages, '-inf', '(' .. score)
    local high = low + redis.call('ZCOUNT', messages, score, score)
    while low < high do
        local middle = math.floor((low + high) / 2)
        if id_of(redis.call('ZRANGE', messages, middle, middle)[1]) < id then
            low = middle + 1
        else
            high = middle
        end
    end
    return low
end

local function wire_of(messages, score, id)
    local wire = redis.call('ZRANGEBYSCORE', messages, score, score, 'LIMIT', 0, 1)[1]
    if wire and id_of(wire) ~= id then
        local rank = rank_of(messages, score, id)
        wire = redis.call('ZRANGE', messages, rank, rank)[1]
    end
    if wire and id_of(wire) == id then
        return wire
    end
    return false
end

local function position_of(id)
    local position = 0
    for at = 11, 18 do
        position = position * 32 + string.find('0123456789ABCDEFGHJKMNPQRSTVWXYZ', string.sub(id, at, at), 1, true) - 1
    end
    return position
end

-- Scores and members alternate. A call takes at most some thousand arguments.
local function add_all(key, pairs)
    for from = 1, #pairs, 1000 do
        redis.call('ZADD', key, unpack(pairs, from, math.min(from + 999, #pairs)))
    end
end

-- A stub stays a stub: what was deleted does not come back by a change that arrives late.
local function change(messages, score, id, wire)
    local old = wire_of(messages, score, id)
    if not old or is_stub(old) and not is_stub(wire) then
        return false
    end
    redis.call('ZREM', messages, old)
    redis.call('ZADD', messages, score, wire)
    return true
end

-- items: {score, message_id, room_id:message_id}. words: {key, column, ttl, swept, number…}: items that have the word,
-- those that lost it with a minus. Only what `made` names is done; without it, all.
local function index(words, items, made, expired)
    for _, word in ipairs(words) do
        local key, column = word[1], word[2]
        local found, lost = {}, {}
        for at = 5, #word do
            local number = word[at]
            local item = items[math.abs(number)]
            if made and not made[math.abs(number)] then
                item = nil
            elseif number > 0 then
                found[#found + 1] = item[1]
                found[#found + 1] = item[column]
            else
                lost[#lost + 1] = item[column]
            end
        end
        add_all(key, found)
        for _, member in ipairs(lost) do
            redis.call('ZREM', key, member)
        end
        if word[4] > 0 then
            local count = redis.call('ZCOUNT', key, '-inf', expired)
            if count > 0 then
                redis.call('ZREMRANGEBYRANK', key, 0, math.min(count, word[4]) - 1)
            end
        end
        if word[3] > 0 then
            redis.call('PEXPIRE', key, word[3])
        end
    end
end

local function keep(span, messages, last, public, ttl)
    redis.call('HSET', span, 'last', string.format('%d', last), 'public', public)
    redis.call('PEXPIRE', messages, ttl)
    redis.call('PEXPIRE', span, ttl)
end
