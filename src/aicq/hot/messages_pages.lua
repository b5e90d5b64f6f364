-- arguments: {expired, {span key, messages key, limit, direction, score, id}…}
--   direction  'newest', 'before' or 'after'; the latter two with an id and its time
-- Returns for each query nothing, or {last position, lowest id that has not expired, wire form…} in the order asked for.

local expired = arguments[1]
local answer = {}

for number, query in ipairs(arguments[2]) do
    local span, messages, limit, direction, score, id = unpack(query)
    local last = redis.call('HGET', span, 'last')
    if last then
        local count = redis.call('ZCARD', messages)
        local lowest = redis.call('ZCOUNT', messages, '-inf', expired)
        local from, to = math.max(lowest, count - limit), count - 1
        if direction == 'before' then
            to = rank_of(messages, score, id) - 1
            from = math.max(lowest, to - limit + 1)
        elseif direction == 'after' then
            local rank = rank_of(messages, score, id)
            local at = redis.call('ZRANGE', messages, rank, rank)[1]
            if at and id_of(at) == id then
                rank = rank + 1
            end
            from = math.max(lowest, rank)
            to = from + limit - 1
        end
        local page = { tonumber(last), '' }
        local first = redis.call('ZRANGE', messages, lowest, lowest)[1]
        if first then
            page[2] = id_of(first)
        end
        if limit > 0 and to >= from then
            local wires = redis.call('ZRANGE', messages, from, to)
            local count_of_wires = #wires
            for at = 1, count_of_wires do
                page[#page + 1] = direction == 'after' and wires[at] or wires[count_of_wires - at + 1]
            end
        end
        answer[number] = page
    else
        answer[number] = false
    end
end

return answer
