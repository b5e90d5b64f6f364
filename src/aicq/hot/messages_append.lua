-- arguments: {expired, ttl, {span key, messages key, public, first position, {score, wire, …}, changes, words}…}
--   expired  the latest time that is no longer seen
--   changes  {entry, score, id, wire}…, each with the number of its entry in the run
--   words    see `index`; entries are numbered first, then changes
-- Returns for each run the last position afterwards.

local expired, ttl, runs = unpack(arguments)

local function append(run)
    local span, messages, public, first, entries, changes, words = unpack(run)
    local count = #entries / 2
    local last = tonumber(redis.call('HGET', span, 'last') or false)
    if not last then
        redis.call('DEL', messages)
        last = first - 1
    end
    local known = last - first + 1
    if known >= 0 and known < count then
        local scores, ids, made, rest = {}, {}, {}, {}
        for entry = 1, count do
            scores[entry], ids[entry], made[entry] = entries[entry * 2 - 1], id_of(entries[entry * 2]), entry > known
        end
        for at = known * 2 + 1, #entries do
            rest[#rest + 1] = entries[at]
        end
        add_all(messages, rest)
        for number, item in ipairs(changes) do
            local at = count + number
            scores[at], ids[at] = item[2], item[3]
            made[at] = item[1] > known and change(messages, item[2], item[3], item[4])
        end
        index(words, scores, ids, made, expired, ttl)
        last = first + count - 1
    end
    sweep(messages, expired, 2000)
    keep(span, messages, last, public, ttl)
    return last
end

local answer = {}
for number, run in ipairs(runs) do
    answer[number] = append(run)
end
return answer
