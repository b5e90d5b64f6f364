-- Indexes entries that are to be added next: a word that points to no entry is never found.
--
-- arguments: {expired, items, words}

index(arguments[3], arguments[2], nil, arguments[1])
return 1
