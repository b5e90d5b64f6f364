-- Indexes entries that are to be added next: a word that points to no entry is never found.
--
-- arguments: {expired, ttl, words, scores, ids}

local expired, ttl, words, scores, ids = unpack(arguments)
index(words, scores, ids, nil, expired, ttl)
return 1
