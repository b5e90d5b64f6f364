-- arguments: {expired, ttl, {span key, messages key, public, first position, {score, wire, …}}, items, words}
-- Returns 1 if the entries were added, else 0.

local expired, ttl, run, items, words = unpack(arguments)
local span, messages, public, first, entries = unpack(run)
local until_position = first + #entries / 2

local last = tonumber(redis.call('HGET', span, 'last') or false)
if tonumber(entries[1]) <= tonumber(expired) then
    return 0
end
if last then
    local lowest = redis.call('ZRANGEBYSCORE', messages, '(' .. expired, '+inf', 'LIMIT', 0, 1)[1]
    if until_position ~= (lowest and position_of(id_of(lowest)) or last + 1) then
        return 0
    end
else
    redis.call('DEL', messages)
    last = until_position - 1
end
add_all(messages, entries)
index(words, items, nil, expired)
keep(span, messages, last, public, ttl)
return 1
