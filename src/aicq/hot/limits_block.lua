-- Blocks addresses.
--
-- KEYS[1] any key of ours, for a cluster to find the slot
-- ARGV    key, {until}:{reason}, milliseconds to live; for each address
--
-- ratelimit:block:{address}            STRING {until}:{reason}

for at = 1, #ARGV, 3 do
    redis.call('SET', ARGV[at], ARGV[at + 1], 'PX', ARGV[at + 2])
end
