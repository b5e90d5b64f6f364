-- What the scripts of `messages` share; it stands before each of them.
--
-- KEYS[1] epoch                        STRING {epoch}:{run_id}
-- ARGV[1] the mark that is expected
-- ARGV[2] the arguments, as MessagePack
--
-- room:{room_id}:messages              ZSET   score: milliseconds, member: wire form, beginning with {"id":"<26 characters>"
-- room:{room_id}:span                  HASH   last, public, was_public
-- search:words:{word}                  ZSET   score: milliseconds, member: room_id:message_id; of public rooms
-- search:rooms:{room_id}:{word}        ZSET   the same, of one private room
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
local function add_all(key, members)
    for from = 1, #members, 1000 do
        redis.call('ZADD', key, unpack(members, from, math.min(from + 999, #members)))
    end
end

-- Drops what expired, the oldest first, and at most so many.
local function sweep(key, expired, most)
    local count = redis.call('ZCOUNT', key, '-inf', expired)
    if count > 0 then
        redis.call('ZREMRANGEBYRANK', key, 0, math.min(count, most) - 1)
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

-- words: {prefix of the words' keys, what stands before an id in them, turn, {word: {number…}}, {word…}}
--   numbers  of the messages that have the word; of one that lost it, with a minus
--   turn     every eighth word is swept, another eighth at the next turn
--   the last words are new, or were not used for a while: their keys' time to live begins again
-- Only what `made` names by its number is done; without it, all.
local function index(words, scores, ids, made, expired, ttl)
    local prefix, room, turn, numbers_of, renewed = unpack(words)
    for word, numbers in pairs(numbers_of) do
        local key, added = prefix .. word, {}
        for _, number in ipairs(numbers) do
            if number < 0 then
                if made[-number] then
                    redis.call('ZREM', key, room .. ids[-number])
                end
            elseif not made or made[number] then
                local at = #added
                added[at + 1], added[at + 2] = scores[number], room .. ids[number]
            end
        end
        if added[1] then
            add_all(key, added)
        end
        turn = turn + 1
        if turn % 8 == 0 then
            sweep(key, expired, 8 * #added + 64)
        end
    end
    for _, word in ipairs(renewed) do
        redis.call('PEXPIRE', prefix .. word, ttl)
    end
end

local function keep(span, messages, last, public, ttl)
    redis.call('HSET', span, 'last', string.format('%d', last), 'public', public)
    if public == 1 then
        redis.call('HSET', span, 'was_public', 1)
    end
    redis.call('PEXPIRE', messages, ttl)
    redis.call('PEXPIRE', span, ttl)
end
