-- Sliding windows, exact. One member per hit tells the sum of all costs until then, so what was used within a window is
-- the difference of two members, however many hits it holds.
--
-- KEYS[1] any key of ours, for a cluster to find the slot
-- ARGV[1] now, in milliseconds
-- ARGV[2] MessagePack: {block key or '', {key, limit, window, cost}…}…: charges, decided one after the other
-- ARGV[3] 'take' or 'peek'
--
-- ratelimit:{category}:{subject}       ZSET   score: milliseconds, member: {sum until then, 16 digits}:{cost}
-- ratelimit:block:{address}            STRING {until}:{reason}
--
-- Returns for each charge 'blocked', or {1 if allowed else 0, remaining, reset, wait, …} with three numbers per quota.
-- Expired hits are dropped only when a charge is accepted: a refused one leaves no trace, and a hit that one clock calls
-- expired may still count for another.

local now = tonumber(ARGV[1])
local charges = cmsgpack.unpack(ARGV[2])

local function sum_of(member)
    return tonumber(string.sub(member, 1, 16))
end

local function cost_of(member)
    return tonumber(string.sub(member, 18))
end

-- What is used of a quota at `now`, or at its last hit if a clock went back.
local function look(quota)
    local key, window = quota[1], quota[3]
    local state = { time = now, used = 0, sum = 0 }
    local last = redis.call('ZREVRANGE', key, 0, 0, 'WITHSCORES')
    if last[1] then
        state.last = tonumber(last[2])
        state.time = math.max(now, state.last)
        state.sum = sum_of(last[1])
        local counts = '(' .. string.format('%d', state.time - window)
        local first = redis.call('ZRANGEBYSCORE', key, counts, '+inf', 'WITHSCORES', 'LIMIT', 0, 1)
        if first[1] then
            state.oldest = tonumber(first[2])
            state.before = sum_of(first[1]) - cost_of(first[1])
            state.used = state.sum - state.before
        end
    end
    return state
end

-- When enough hits will have left for the cost to fit.
local function wait_of(quota, state)
    local key, limit, window, cost = quota[1], quota[2], quota[3], quota[4]
    if cost > limit then
        return window
    elseif state.used + cost <= limit then
        return 0
    end
    local leaving = state.before + state.used + cost - limit
    local high = redis.call('ZCARD', key) - 1
    local low = 0
    while low < high do
        local middle = math.floor((low + high) / 2)
        if sum_of(redis.call('ZRANGE', key, middle, middle)[1]) < leaving then
            low = middle + 1
        else
            high = middle
        end
    end
    return tonumber(redis.call('ZRANGE', key, low, low, 'WITHSCORES')[2]) + window - now
end

local function take(quota, state)
    local key, window, cost = quota[1], quota[3], quota[4]
    -- Once in a window is enough to drop what expired, and to give the key two windows to live.
    local due = not state.oldest or math.floor(state.time / window) > math.floor(state.last / window)
    if due then
        redis.call('ZREMRANGEBYSCORE', key, '-inf', string.format('%d', state.time - window))
    end
    if not state.oldest then
        state.oldest, state.before, state.sum = state.time, 0, 0
    end
    state.used = state.used + cost
    state.sum = state.sum + cost
    redis.call('ZADD', key, string.format('%d', state.time), string.format('%016d:%d', state.sum, cost))
    if due then
        redis.call('PEXPIRE', key, 2 * window + 60000)
    end
end

local function decide(charge)
    if charge[1] ~= '' then
        local blocked = redis.call('GET', charge[1])
        if blocked and now < tonumber(string.match(blocked, '^%-?%d+')) then
            return 'blocked'
        end
    end
    local states, allowed = {}, 1
    for at = 2, #charge do
        local quota = charge[at]
        local state = look(quota)
        states[at] = state
        if state.used + quota[4] > quota[2] then
            allowed = 0
        end
    end
    local answer = { allowed }
    for at = 2, #charge do
        local quota, state = charge[at], states[at]
        if allowed == 1 and ARGV[3] == 'take' then
            take(quota, state)
        end
        answer[#answer + 1] = math.max(0, quota[2] - state.used)
        answer[#answer + 1] = state.oldest and state.oldest + quota[3] or now
        answer[#answer + 1] = wait_of(quota, state)
    end
    return answer
end

local answer = {}
for number, charge in ipairs(charges) do
    answer[number] = decide(charge)
end
return answer
