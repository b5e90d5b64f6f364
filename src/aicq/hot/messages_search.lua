-- Looks at some messages that hold the rarest of the words, newest first.
--
-- arguments: {rooms, room, keys, before, before_id, limit, looks, rarest, cursor score, cursor}
--   rooms   what stands before a room's id in its keys
--   room    a room's id and its own word keys, or '' and the public ones
--   keys    one per word
--   before  only later messages than this time; before_id the same as the beginning of an id
--   limit   the most hits to return; looks: the most messages to look at
--   rarest  the number of the word to walk, 0 to choose it; the cursor is where the last call ended, '' at the beginning
-- Returns {rarest, looked at, 1 if there are no more, cursor score, cursor, {room id, wire form}…}.

local rooms, room, keys, before, before_id, limit, looks, rarest, score, cursor = unpack(arguments)

if rarest == 0 then
    local fewest
    for number, key in ipairs(keys) do
        local count = redis.call('ZCOUNT', key, '(' .. before, '+inf')
        if not fewest or count < fewest then
            rarest, fewest = number, count
        end
    end
    if fewest == 0 then
        return { rarest, 0, 1, '', '' }
    end
end

local start = 0
if cursor ~= '' then
    local rank = redis.call('ZREVRANK', keys[rarest], cursor)
    start = rank and rank + 1 or redis.call('ZCOUNT', keys[rarest], '(' .. score, '+inf')
end

-- One more than asked for tells whether there are more. An id begins with its time, ten characters of it.
local members = redis.call('ZREVRANGE', keys[rarest], start, start + looks)
while #members > 0 and string.sub(members[#members], -26, -17) <= before_id do
    members[#members] = nil
end
local ended = 1
if #members > looks then
    ended = 0
    members[#members] = nil
end
if #members == 0 then
    return { rarest, 0, 1, '', '' }
end

-- `left` holds the numbers of the members that have all words asked for so far.
local left = {}
for at = 1, #members do
    left[at] = at
end
for number, key in ipairs(keys) do
    if number ~= rarest and #left > 0 then
        local asked, having = {}, {}
        for at, member in ipairs(left) do
            asked[at] = members[member]
        end
        for at, found in ipairs(redis.call('ZMSCORE', key, unpack(asked))) do
            if found then
                having[#having + 1] = left[at]
            end
        end
        left = having
    end
end

local answer = { rarest, #members, ended, redis.call('ZSCORE', keys[rarest], members[#members]), members[#members] }
local spans = {}
for _, at in ipairs(left) do
    local member = members[at]
    local home = room == '' and string.sub(member, 1, 36) or room
    local prefix = rooms .. home
    if spans[home] == nil then
        local public = redis.call('HGET', prefix .. ':span', 'public')
        spans[home] = public == '1' or room ~= '' and public ~= false
    end
    local time = spans[home] and redis.call('ZSCORE', keys[rarest], member)
    local wire = time and wire_of(prefix .. ':messages', time, string.sub(member, -26))
    if wire and not is_stub(wire) then
        answer[#answer + 1] = { home, wire }
        if #answer - 5 == limit then
            answer[2] = at
            if at < #members then
                answer[3] = 0
            end
            answer[4], answer[5] = time, member
            break
        end
    end
end

return answer
