-- arguments: {messages key, score, id}…
-- Returns for each its wire form, or nothing.

local answer = {}
for number, wanted in ipairs(arguments) do
    answer[number] = wire_of(wanted[1], wanted[2], wanted[3])
end
return answer
