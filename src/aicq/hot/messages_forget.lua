-- arguments: {span key, messages key}
-- What the words still name is not there any more, and goes as it expires.

redis.call('UNLINK', unpack(arguments))
return 1
