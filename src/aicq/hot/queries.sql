-- begin_forget_mark --
-- Takes the store out of its epoch, so that no call of `messages` answers until the new one is marked.
DELETE FROM hot_mark

-- begin_empty --
-- Empties what is held of messages. Spans come first here, as in every other statement that locks both.
TRUNCATE hot_spans, hot_messages

-- begin_mark --
-- Bears the mark of an epoch.
INSERT INTO hot_mark (epoch) VALUES ($1)

-- probe --
-- The server's version and the epoch it bears the mark of.
SELECT current_setting('server_version') AS version, (SELECT epoch FROM hot_mark) AS epoch

-- append --
-- Adds the newest entries of rooms; NULL if the store is of another epoch.
SELECT hot_messages_append($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)

-- prepend --
-- Adds entries below a span; NULL if the store is of another epoch.
SELECT hot_messages_prepend($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)

-- revise --
-- Changes messages that are held; NULL if the store is of another epoch.
SELECT hot_messages_revise($1, $2, $3, $4, $5, $6)

-- pages --
-- A page of each room; no row if the store is of another epoch.
SELECT last, first_id, wires FROM hot_messages_pages($1, $2, $3, $4, $5, $6)

-- search --
-- The newest messages that hold all words, a row each; one row without a message if there are none.
SELECT s.stale, s.truncated, m.room_id, m.wire
FROM hot_messages_search($1, $2, $3, $4, $5, $6, $7) s
LEFT JOIN LATERAL unnest(s.rooms, s.wires) WITH ORDINALITY AS m (room_id, wire, n) ON true
ORDER BY m.n

-- warm --
-- Looks for what nobody says, so that all that a search asks is planned.
SELECT FROM hot_mark m, hot_messages_search(m.epoch, ARRAY['a', 'b'], NULL, 0, '00000000-0000-0000-0000-000000000000', 1, 1)

-- forget --
-- Drops a room, or its oldest messages if it holds many; whether it is gone, NULL if the store is of another epoch.
SELECT hot_messages_forget($1, $2, $3)

-- take --
-- Decides charges and takes what is accepted.
SELECT allowed, blocked, remaining, reset, wait FROM hot_limits_take($1, $2, $3, $4, $5, $6, $7, $8)

-- sweep --
-- Deletes some of what expired a minute ago; how much of a kind.
SELECT hot_sweep($1, $2)

-- peek --
-- How full quotas are.
SELECT greatest(q.quota - u.used, 0) AS remaining, coalesce(f.at + q.width, $1) AS reset,
    CASE
        WHEN u.used + q.cost <= q.quota THEN 0
        WHEN q.cost > q.quota THEN q.width
        ELSE q.width - $1 + (
            SELECT h.at FROM hot_limit_hits h
            WHERE h.key = q.key AND h.at >= f.at AND h.cum >= l.cum + q.cost - q.quota ORDER BY h.at LIMIT 1
        )
    END AS wait
FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[]) WITH ORDINALITY AS q (key, quota, width, cost, n)
LEFT JOIN LATERAL (
    SELECT h.cum, h.at FROM hot_limit_hits h WHERE h.key = q.key ORDER BY h.at DESC LIMIT 1
) l ON true
LEFT JOIN LATERAL (
    SELECT h.at, h.cum - h.cost AS before FROM hot_limit_hits h
    WHERE h.key = q.key AND h.at > greatest($1, l.at) - q.width ORDER BY h.at LIMIT 1
) f ON true
CROSS JOIN LATERAL (SELECT coalesce(l.cum - f.before, 0) AS used) u
ORDER BY q.n

-- reset --
-- Forgets the hits of keys.
DELETE FROM hot_limit_hits WHERE key = ANY ($1::text[])

-- block --
-- Refuses addresses, each until a time; they come sorted, so that two calls never wait for each other.
INSERT INTO hot_blocks (address, until, reason) SELECT * FROM unnest($1::text[], $2::bigint[], $3::text[])
ON CONFLICT (address) DO UPDATE SET until = excluded.until, reason = excluded.reason

-- unblock --
-- Lifts a block.
DELETE FROM hot_blocks WHERE address = $1

-- value_set --
-- Stores a value, whatever was there.
INSERT INTO hot_values (key, value, expires) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires

-- value_get --
-- A value that has not expired.
SELECT value FROM hot_values WHERE key = $1 AND expires > $2

-- value_add --
-- Stores a value unless one is there that has not expired.
INSERT INTO hot_values AS held (key, value, expires) VALUES ($1, $2, $3)
ON CONFLICT (key) DO UPDATE SET value = excluded.value, expires = excluded.expires WHERE held.expires <= $4
RETURNING true

-- value_take --
-- Removes a value and returns it if it has not expired.
DELETE FROM hot_values WHERE key = $1 AND expires > $2 RETURNING value

-- value_refresh --
-- Moves the expiry of a value that has not expired.
UPDATE hot_values SET expires = $2 WHERE key = $1 AND expires > $3 RETURNING true

-- value_delete --
-- Removes values, in the order of their keys, so that two calls never wait for each other.
WITH held AS MATERIALIZED (
    SELECT key FROM hot_values WHERE key = ANY ($1::text[]) ORDER BY key FOR UPDATE
), gone AS (
    DELETE FROM hot_values v USING held WHERE v.key = held.key RETURNING v.key
)
SELECT count(*) FROM gone

-- value_keys --
-- Keys between two bounds that have a value.
SELECT key FROM hot_values WHERE key >= $1 AND key < $2 AND expires > $3 ORDER BY key

-- value_clear --
-- Removes some of the values between two bounds.
WITH held AS MATERIALIZED (
    SELECT key FROM hot_values WHERE key >= $1 AND key < $2 ORDER BY key LIMIT 1000 FOR UPDATE
), gone AS (
    DELETE FROM hot_values v USING held WHERE v.key = held.key RETURNING v.key
)
SELECT count(*) FROM gone

-- members_add --
-- Adds members or moves their expiry, in the order of the key, so that two calls never wait for each other.
INSERT INTO hot_members (key, name, expires)
SELECT key, name, expires FROM unnest($1::text[], $2::text[], $3::bigint[]) AS m (key, name, expires)
ORDER BY key COLLATE "C", name COLLATE "C"
ON CONFLICT (key, name) DO UPDATE SET expires = excluded.expires

-- members_join --
-- Adds members, each unless that many others are in its set.
SELECT hot_members_join($1, $2, $3, $4, $5)

-- members_remove --
-- Removes members, in the order of the key.
WITH held AS MATERIALIZED (
    SELECT h.key, h.name FROM unnest($1::text[], $2::text[]) AS m (key, name)
    JOIN hot_members h ON h.key = m.key AND h.name = m.name ORDER BY h.key, h.name FOR UPDATE OF h
)
DELETE FROM hot_members m USING held WHERE m.key = held.key AND m.name = held.name

-- members_expiries --
-- The members of each set, and when each of them expires.
SELECT ARRAY(SELECT name FROM hot_members m WHERE m.key = k.key AND m.expires > $2 ORDER BY name),
    ARRAY(SELECT expires FROM hot_members m WHERE m.key = k.key AND m.expires > $2 ORDER BY name)
FROM unnest($1::text[]) WITH ORDINALITY AS k (key, n) ORDER BY k.n

-- members_count --
-- How many members each set has.
SELECT (SELECT count(*) FROM hot_members m WHERE m.key = k.key AND m.expires > $2)
FROM unnest($1::text[]) WITH ORDINALITY AS k (key, n) ORDER BY k.n

-- lock_acquire --
-- Takes a lease that nobody has.
INSERT INTO hot_locks AS held (name, owner, expires) VALUES ($1, $2, $3)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, expires = excluded.expires WHERE held.expires <= $4
RETURNING true

-- lock_extend --
-- Moves the expiry of a lease that its owner still has.
UPDATE hot_locks SET expires = $3 WHERE name = $1 AND owner = $2 AND expires > $4 RETURNING true

-- lock_release --
-- Ends a lease of its owner.
DELETE FROM hot_locks WHERE name = $1 AND owner = $2 RETURNING true

-- publish --
-- Wakes whoever listens to these channels.
SELECT pg_notify(channel, '') FROM unnest($1::text[]) AS o (channel)
