-- Looks at some messages that hold the rarest of the words, newest first.
--
-- arguments: {rooms, room, prefix, shared, words, before, before_id, limit, looks, rarest, cursor score, cursor}
--   rooms   what stands before a room's id in its keys
--   room    the only room to search, or ''
--   prefix  what stands before the words; shared: 1 if they are those of all public rooms
--   before  only later messages than this time; before_id the same as the beginning of an id
--   limit   the most hits to return; looks: the most messages to look at
--   rarest  the number of the word to walk, 0 to choose it; the cursor is where the last call ended, '' at the beginning
-- Returns {rarest, looked at, walked past, 1 if there are no more, cursor score, cursor, {room id, wire form}…}.

local rooms, room, prefix, shared, words, before, before_id, limit, looks, rarest, score, cursor = unpack(arguments)

local visible = {}
local function is_visible(home)
    if visible[home] == nil then
        local flag = redis.call('HGET', rooms .. home .. ':span', 'public')
        visible[home] = flag == '1' or room ~= '' and flag ~= false
    end
    return visible[home]
end

-- A room that was never public has nothing among the words of public rooms.
if room ~= '' and shared == 1 and not redis.call('HGET', rooms .. room .. ':span', 'was_public') then
    return { 1, 0, 0, 1, '', '' }
end

local keys = {}
for number, word in ipairs(words) do
    keys[number] = prefix .. word
end

if rarest == 0 then
    local fewest
    for number, key in ipairs(keys) do
        local count = redis.call('ZCOUNT', key, '(' .. before, '+inf')
        if not fewest or count < fewest then
            rarest, fewest = number, count
        end
    end
    if fewest == 0 then
        return { rarest, 0, 0, 1, '', '' }
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
    return { rarest, 0, 0, 1, '', '' }
end

-- `left` holds the numbers of the members that are of the scope and have all words asked for so far.
local left = {}
for at, member in ipairs(members) do
    if room == '' or string.sub(member, 1, 36) == room then
        left[#left + 1] = at
    end
end
local in_scope = left
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

local last = members[#members]
local answer = { rarest, #in_scope, #members, ended, redis.call('ZSCORE', keys[rarest], last), last }
for _, at in ipairs(left) do
    local member = members[at]
    local home = string.sub(member, 1, 36)
    local time = is_visible(home) and redis.call('ZSCORE', keys[rarest], member)
    local wire = time and wire_of(rooms .. home .. ':messages', time, string.sub(member, -26))
    if wire and not is_stub(wire) then
        answer[#answer + 1] = { home, wire }
        if #answer - 6 == limit then
            local looked = 0
            for _, scoped in ipairs(in_scope) do
                if scoped <= at then
                    looked = looked + 1
                end
            end
            answer[2], answer[3] = looked, at
            if at < #members then
                answer[4] = 0
            end
            answer[5], answer[6] = time, member
            break
        end
    end
end

return answer
