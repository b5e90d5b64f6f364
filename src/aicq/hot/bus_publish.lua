-- ARGV: channels; channel:{topic}
for _, channel in ipairs(ARGV) do
    redis.call('PUBLISH', channel, '')
end
return 1
