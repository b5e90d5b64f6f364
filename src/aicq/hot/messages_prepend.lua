-- arguments: {expired, ttl, {span key, messages key, public, first position, {score, wire, …}, no changes, words}}
-- Returns 1 if the entries were added, else 0.

local expired, ttl, run = unpack(arguments)
local span, messages, public, first, entries, _, words = unpack(run)
local next_position = first + #entries / 2

if tonumber(entries[1]) <= tonumber(expired) then
    return 0
end
local last = tonumber(redis.call('HGET', span, 'last') or false)
if last then
    local lowest = redis.call('ZRANGEBYSCORE', messages, '(' .. expired, '+inf', 'LIMIT', 0, 1)[1]
    if next_position ~= (lowest and position_of(id_of(lowest)) or last + 1) then
        return 0
    end
else
    redis.call('DEL', messages)
    last = next_position - 1
end

local scores, ids = {}, {}
for at = 1, #entries, 2 do
    scores[#scores + 1], ids[#ids + 1] = entries[at], id_of(entries[at + 1])
end
add_all(messages, entries)
index(words, scores, ids, nil, expired, ttl)
keep(span, messages, last, public, ttl)
return 1
