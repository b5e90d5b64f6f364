-- arguments: {expired, messages key, {score, id, wire}…}, items, words}

local expired, messages, changes, items, words = unpack(arguments)
local made = {}
for number, item in ipairs(changes) do
    made[number] = change(messages, item[1], item[2], item[3])
end
index(words, items, made, expired)
return 1
