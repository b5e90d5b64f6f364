-- arguments: {ttl, messages key, {score, id, wire}…, words}

local ttl, messages, changes, words = unpack(arguments)
local scores, ids, made = {}, {}, {}
for number, item in ipairs(changes) do
    scores[number], ids[number] = item[1], item[2]
    made[number] = change(messages, item[1], item[2], item[3])
end
index(words, scores, ids, made, '-inf', ttl)
return 1
