-- Leases: of many who want one, one has it.
--
-- KEYS[1] lock:{name}  STRING  {expires}:{owner}
-- ARGV[1] acquire, extend or release
-- ARGV[2] now, in milliseconds; '' for release
-- ARGV[3] owner
-- ARGV[4] expires
-- ARGV[5] ttl

local held = redis.call('GET', KEYS[1])
local expires, owner
if held then
    expires, owner = string.match(held, '^(%-?%d+):(.*)$')
end

if ARGV[1] == 'release' then
    if owner ~= ARGV[3] then
        return 0
    end
    return redis.call('DEL', KEYS[1])
end

local is_held = held and tonumber(ARGV[2]) < tonumber(expires)
if ARGV[1] == 'acquire' and is_held then
    return 0
elseif ARGV[1] == 'extend' and not (is_held and owner == ARGV[3]) then
    return 0
end
redis.call('SET', KEYS[1], ARGV[4] .. ':' .. ARGV[3], 'PX', ARGV[5])
return 1
