-- arguments: {expired, ttl, runs, items, words}
--   expired  the latest time that is no longer seen
--   runs     {span key, messages key, public, first position, {score, wire, …}, {entry, score, id, wire}…}: the last part
--            are the changes, each with the number of its entry in the run
--   items    one per entry and then one per change, in the order of the runs
-- Returns for each run the last position afterwards.

local expired, ttl, runs, items, words = unpack(arguments)
local answer, made, entries_before, changes = {}, {}, 0, {}

for number, run in ipairs(runs) do
    local span, messages, public, first, entries = run[1], run[2], run[3], run[4], run[5]
    local count = #entries / 2
    local last = tonumber(redis.call('HGET', span, 'last') or false)
    if not last then
        redis.call('DEL', messages)
        last = first - 1
    end
    local known = last - first + 1
    if known >= 0 and known < count then
        local rest = {}
        for at = known * 2 + 1, #entries do
            rest[#rest + 1] = entries[at]
        end
        add_all(messages, rest)
        for entry = known + 1, count do
            made[entries_before + entry] = true
        end
        last = first + count - 1
    end
    for at = 6, #run do
        local item = run[at]
        changes[#changes + 1] = { messages, known >= 0 and item[1] > known, item[2], item[3], item[4] }
    end
    entries_before = entries_before + count
    answer[number] = last
end

for number, item in ipairs(changes) do
    made[entries_before + number] = item[2] and change(item[1], item[3], item[4], item[5])
end

index(words, items, made, expired)

for number, run in ipairs(runs) do
    local count = redis.call('ZCOUNT', run[2], '-inf', expired)
    if count > 0 then
        redis.call('ZREMRANGEBYRANK', run[2], 0, math.min(count, 2000) - 1)
    end
    keep(run[1], run[2], answer[number], run[3], ttl)
end

return answer
