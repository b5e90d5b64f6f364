"""The hot store in Postgres: UNLOGGED tables and the functions that save round trips; and which store is active."""

from aicq.db.scripts import run_script

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

UPGRADE = """
-- Which hot store all processes use and in which epoch; no row before the first start. Logged, unlike the rest.
CREATE TABLE hot_store (
    id boolean NOT NULL DEFAULT true,
    active text NOT NULL,
    epoch bigint NOT NULL,
    complete boolean NOT NULL DEFAULT false,
    CONSTRAINT pk_hot_store PRIMARY KEY (id),
    CONSTRAINT ck_hot_store_one_row CHECK (id),
    CONSTRAINT ck_hot_store_active CHECK (active IN ('redis', 'postgres'))
);

-- The epoch that the messages below belong to. A crash empties every unlogged table, so a store that lost its messages
-- has lost its mark with them.
CREATE UNLOGGED TABLE hot_mark (
    id boolean NOT NULL DEFAULT true,
    epoch bigint NOT NULL,
    CONSTRAINT pk_hot_mark PRIMARY KEY (id),
    CONSTRAINT ck_hot_mark_one_row CHECK (id)
);

-- How far each room is held. Where its span begins is not written down: at its oldest message that has not expired.
CREATE UNLOGGED TABLE hot_spans (
    room_id uuid NOT NULL,
    last bigint NOT NULL,
    public boolean NOT NULL,
    CONSTRAINT pk_hot_spans PRIMARY KEY (room_id)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);

-- The messages of the last 24 hours. Within a room ids sort by position, so the primary key serves the pages.
-- tsv: `w` before each word, `r` before the room's id, `h` before the hour, `m` before the five minutes; nothing for a
-- stub.
CREATE UNLOGGED TABLE hot_messages (
    room_id uuid NOT NULL,
    id uuid NOT NULL,
    ts bigint NOT NULL,
    public boolean NOT NULL,
    tsv tsvector NOT NULL,
    wire bytea NOT NULL,
    CONSTRAINT pk_hot_messages PRIMARY KEY (room_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_cost_delay = 0);
-- Of a long message the wire form leaves the row first, uncompressed, and what a search looks at stays in it.
ALTER TABLE hot_messages ALTER COLUMN wire SET STORAGE EXTERNAL;
ALTER TABLE hot_messages ALTER COLUMN tsv SET STORAGE MAIN;
-- Gathering them is dear, and no plan below depends on them.
ALTER TABLE hot_messages ALTER COLUMN tsv SET STATISTICS 0;

-- hot_messages_walk: the newest public messages. hot_messages_append: the oldest, to be swept.
CREATE INDEX ix_hot_messages_public_ts ON hot_messages (public, ts, room_id, id);
-- hot_messages_find: public messages by their words. What about a hundred messages add is indexed at once, which costs
-- half of what it costs one by one; a longer list would make appends wait in bursts, and searches read it.
CREATE INDEX ix_hot_messages_tsv_public ON hot_messages USING gin (tsv)
    WITH (gin_pending_list_limit = 64) WHERE public;
-- hot_messages_find: messages of a private room by their words.
CREATE INDEX ix_hot_messages_tsv_private ON hot_messages USING gin (tsv)
    WITH (gin_pending_list_limit = 64) WHERE NOT public;

-- One row for what was taken from a key in one millisecond; `cum` is all that was ever taken from it, with this row.
-- So what counts is the last `cum` less the one before the window, however many rows lie between, and both are found
-- without a look at those that have expired.
CREATE UNLOGGED TABLE hot_limit_hits (
    key text COLLATE "C" NOT NULL,
    at bigint NOT NULL,
    cum bigint NOT NULL,
    cost bigint NOT NULL,
    expires bigint NOT NULL,
    CONSTRAINT pk_hot_limit_hits PRIMARY KEY (key, at)
) WITH (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);
-- hot_sweep: keys that nobody asks for any more.
CREATE INDEX ix_hot_limit_hits_expires ON hot_limit_hits (expires);

CREATE UNLOGGED TABLE hot_blocks (
    address text COLLATE "C" NOT NULL,
    until bigint NOT NULL,
    reason text NOT NULL,
    CONSTRAINT pk_hot_blocks PRIMARY KEY (address)
);

CREATE UNLOGGED TABLE hot_values (
    key text COLLATE "C" NOT NULL,
    value bytea NOT NULL,
    expires bigint NOT NULL,
    CONSTRAINT pk_hot_values PRIMARY KEY (key)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);
-- hot_sweep: values that have expired.
CREATE INDEX ix_hot_values_expires ON hot_values (expires);

-- The functions turn off what would let the planner scan a table: their plans are cached while the tables are small
-- or their statistics old, and a cached plan that scans is a disaster an hour later. Those that write wait for a lock
-- no longer than their callers wait for them, so that no call is carried out after it was given up.

CREATE FUNCTION hot_tsv(p_room uuid, p_ts bigint, p_words text) RETURNS tsvector
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE WHEN p_words = '' THEN ''::tsvector
        ELSE array_to_tsvector(
            string_to_array(p_words, chr(31)) || ARRAY['r' || p_room, 'h' || p_ts / 3600000, 'm' || p_ts / 300000]
        ) END
$$;

-- What the messages of a time bear, if it is so short that few lexemes tell it; many would cost more than they save.
CREATE FUNCTION hot_times(p_from bigint, p_to bigint) RETURNS tsquery
LANGUAGE sql IMMUTABLE AS $$
    SELECT CASE
        WHEN p_to - p_from <= 1200000
        THEN (SELECT string_agg('m' || t, '|') FROM generate_series(p_from / 300000, p_to / 300000) t)
        WHEN p_to - p_from <= 14400000
        THEN (SELECT string_agg('h' || t, '|') FROM generate_series(p_from / 3600000, p_to / 3600000) t)
    END::tsquery
$$;

-- The position that an id carries: characters 11 to 18 of the ULID, 40 bits after the 48 of milliseconds.
CREATE FUNCTION hot_position(p_id uuid) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT ('x' || substr(replace(p_id::text, '-', ''), 13, 10))::bit(40)::bigint
$$;

-- Whether a wire form is a stub: `{"id":"<26 characters>"}` ends where a message goes on.
CREATE FUNCTION hot_is_stub(p_wire bytea) RETURNS boolean
LANGUAGE sql IMMUTABLE AS $$
    SELECT length(p_wire) = 35
$$;

-- Makes changes to messages that are held. Of several changes to one message the last counts, but a stub stays a stub:
-- what was deleted does not come back by a change that arrives late.
CREATE FUNCTION hot_messages_change(
    p_room uuid[], p_public boolean[], p_target uuid[], p_wire bytea[], p_words text[]
) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    UPDATE hot_messages m SET wire = c.wire, tsv = hot_tsv(m.room_id, m.ts, c.words), public = m.public AND c.public
    FROM (
        SELECT DISTINCT ON (u.room_id, u.target) u.*
        FROM unnest(p_room, p_public, p_target, p_wire, p_words) WITH ORDINALITY
            AS u (room_id, public, target, wire, words, n)
        ORDER BY u.room_id, u.target, hot_is_stub(u.wire) DESC, u.n DESC
    ) c
    WHERE m.room_id = c.room_id AND m.id = c.target AND (hot_is_stub(c.wire) OR NOT hot_is_stub(m.wire));
END
$$;

-- Makes changes to one room's messages; NULL if the store is of another epoch.
CREATE FUNCTION hot_messages_revise(
    p_epoch bigint, p_room uuid, p_public boolean, p_target uuid[], p_wire bytea[], p_words text[]
) RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET lock_timeout = '900ms' AS $$
BEGIN
    LOCK TABLE hot_spans IN ROW EXCLUSIVE MODE;
    PERFORM FROM hot_mark WHERE epoch = p_epoch;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    -- The room's changes wait for each other, so that the later one sees the stub of the earlier.
    PERFORM FROM hot_spans WHERE room_id = p_room FOR NO KEY UPDATE;
    PERFORM hot_messages_change(
        array_fill(p_room, ARRAY[cardinality(p_target)]), array_fill(p_public, ARRAY[cardinality(p_target)]),
        p_target, p_wire, p_words
    );
    RETURN true;
END
$$;

-- Drops a room. One with more than `p_most` messages loses its oldest first, as if they had expired, call by call, so
-- that nobody waits for long. NULL if the store is of another epoch, else whether the room is gone.
CREATE FUNCTION hot_messages_forget(p_epoch bigint, p_room uuid, p_most bigint) RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET lock_timeout = '900ms' AS $$
DECLARE
    ids uuid[];
BEGIN
    LOCK TABLE hot_spans IN ROW EXCLUSIVE MODE;
    PERFORM FROM hot_mark WHERE epoch = p_epoch;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    PERFORM FROM hot_spans WHERE room_id = p_room FOR UPDATE;
    SELECT array_agg(o.id) INTO ids FROM (
        SELECT m.id FROM hot_messages m WHERE m.room_id = p_room ORDER BY m.id LIMIT p_most
    ) o;
    DELETE FROM hot_messages m USING unnest(ids) AS o (id) WHERE m.room_id = p_room AND m.id = o.id;
    IF cardinality(ids) = p_most THEN
        RETURN false;
    END IF;
    DELETE FROM hot_spans WHERE room_id = p_room;
    RETURN true;
END
$$;

-- Adds runs of entries, one run per room; NULL if the store is of another epoch, else each span's `last` afterwards.
--
-- 1. The table's lock comes before the look at the mark: whoever begins an epoch truncates, and waits for it.
-- 2. One statement makes the missing spans and locks them all in the order of their ids, so no two groups of rooms wait
--    for each other. A row that is there is locked and left as it is. The next statement sees them as they are then.
-- 3. A room that has become private takes what it holds out of public search.
CREATE FUNCTION hot_messages_append(
    p_epoch bigint, p_expired bigint, p_room uuid[], p_public boolean[], p_first bigint[], p_last bigint[],
    p_run integer[], p_id uuid[], p_ts bigint[], p_seq bigint[], p_wire bytea[], p_words text[],
    p_change_run integer[], p_change_seq bigint[], p_target uuid[], p_new_wire bytea[], p_new_words text[]
) RETURNS bigint[] LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET lock_timeout = '900ms' AS $$
DECLARE
    spans bigint[];
    above bigint[]; -- per run: entries beyond this position are added; NULL for none of them
    hidden uuid[];
BEGIN
    LOCK TABLE hot_spans IN ROW EXCLUSIVE MODE;
    PERFORM FROM hot_mark WHERE epoch = p_epoch;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;

    INSERT INTO hot_spans (room_id, last, public)
    SELECT r.room_id, r.first - 1, r.public FROM unnest(p_room, p_first, p_public) AS r (room_id, first, public)
    ORDER BY r.room_id
    ON CONFLICT (room_id) DO UPDATE SET last = excluded.last WHERE false;

    SELECT array_agg(o.last), array_agg(CASE WHEN o.first <= o.last + 1 AND o.upto > o.last THEN o.last END),
        array_agg(o.room_id) FILTER (WHERE o.was_public AND NOT o.public)
    INTO spans, above, hidden
    FROM (
        SELECT r.room_id, r.first, r.upto, r.public, s.last, s.public AS was_public
        FROM unnest(p_room, p_first, p_last, p_public) WITH ORDINALITY AS r (room_id, first, upto, public, n)
        JOIN hot_spans s ON s.room_id = r.room_id ORDER BY r.n
    ) o;

    INSERT INTO hot_messages (room_id, id, ts, public, tsv, wire)
    SELECT p_room[e.run], e.id, e.ts, p_public[e.run], hot_tsv(p_room[e.run], e.ts, e.words), e.wire
    FROM unnest(p_run, p_id, p_ts, p_seq, p_wire, p_words) AS e (run, id, ts, seq, wire, words)
    WHERE e.seq > above[e.run] AND e.ts > p_expired
    ON CONFLICT DO NOTHING;

    IF cardinality(p_target) > 0 THEN
        PERFORM hot_messages_change(
            array_agg(p_room[c.run] ORDER BY c.seq), array_agg(p_public[c.run] ORDER BY c.seq),
            array_agg(c.target ORDER BY c.seq), array_agg(c.wire ORDER BY c.seq), array_agg(c.words ORDER BY c.seq)
        )
        FROM unnest(p_change_run, p_change_seq, p_target, p_new_wire, p_new_words) AS c (run, seq, target, wire, words)
        WHERE c.seq > above[c.run];
    END IF;

    UPDATE hot_spans s SET last = r.upto, public = r.public
    FROM unnest(p_room, p_last, p_public, above) AS r (room_id, upto, public, above)
    WHERE s.room_id = r.room_id AND r.above IS NOT NULL;

    IF hidden IS NOT NULL THEN
        UPDATE hot_messages m SET public = false FROM unnest(hidden) AS r (room_id)
        WHERE m.room_id = r.room_id AND m.public;
    END IF;

    PERFORM hot_messages_sweep(p_expired);
    RETURN (
        SELECT coalesce(array_agg(CASE WHEN r.above IS NULL THEN r.last ELSE r.upto END), '{}')
        FROM unnest(spans, above, p_last) AS r (last, above, upto)
    );
END
$$;

-- Deletes some messages that have expired, of whichever rooms, the oldest first. One sweeper at a time: two would leave
-- holes for a reader whose clock is behind theirs.
CREATE FUNCTION hot_messages_sweep(p_expired bigint) RETURNS void LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    rooms uuid[];
    ids uuid[];
BEGIN
    SELECT array_agg(o.room_id), array_agg(o.id) INTO rooms, ids FROM (
        (
            SELECT room_id, id FROM hot_messages WHERE public AND ts <= p_expired
            ORDER BY public, ts, room_id, id LIMIT 250
        )
        UNION ALL
        (
            SELECT room_id, id FROM hot_messages WHERE NOT public AND ts <= p_expired
            ORDER BY public, ts, room_id, id LIMIT 250
        )
    ) o;
    IF ids IS NULL OR NOT pg_try_advisory_xact_lock(hashtext('hot_messages_sweep')) THEN
        RETURN;
    END IF;
    DELETE FROM hot_messages m USING unnest(rooms, ids) AS o (room_id, id) WHERE m.room_id = o.room_id AND m.id = o.id;
END
$$;

-- Adds a run that ends just below its room's span; NULL if the store is of another epoch, else whether it was added.
CREATE FUNCTION hot_messages_prepend(
    p_epoch bigint, p_expired bigint, p_from uuid, p_room uuid, p_public boolean, p_last bigint,
    p_id uuid[], p_ts bigint[], p_wire bytea[], p_words text[]
) RETURNS boolean LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET lock_timeout = '900ms' AS $$
DECLARE
    first bigint;
BEGIN
    LOCK TABLE hot_spans IN ROW EXCLUSIVE MODE;
    PERFORM FROM hot_mark WHERE epoch = p_epoch;
    IF NOT FOUND THEN
        RETURN NULL;
    END IF;
    IF p_ts[1] <= p_expired THEN
        RETURN false;
    END IF;

    INSERT INTO hot_spans (room_id, last, public) VALUES (p_room, p_last, p_public)
    ON CONFLICT (room_id) DO UPDATE SET last = excluded.last WHERE false;
    SELECT coalesce(
        (
            SELECT hot_position(m.id) FROM hot_messages m
            WHERE m.room_id = p_room AND m.id >= p_from ORDER BY m.id LIMIT 1
        ),
        s.last + 1
    ) INTO first
    FROM hot_spans s WHERE s.room_id = p_room;
    IF first <> p_last + 1 THEN
        RETURN false;
    END IF;

    INSERT INTO hot_messages (room_id, id, ts, public, tsv, wire)
    SELECT p_room, e.id, e.ts, p_public, hot_tsv(p_room, e.ts, e.words), e.wire
    FROM unnest(p_id, p_ts, p_wire, p_words) AS e (id, ts, wire, words)
    ON CONFLICT DO NOTHING;
    RETURN true;
END
$$;

-- A page of each room, all of one snapshot; no row at all if the store is of another epoch, one without a page if no
-- page was asked for.
CREATE FUNCTION hot_messages_pages(
    p_epoch bigint, p_from uuid, p_room uuid[], p_limit integer[], p_before uuid[], p_after uuid[]
) RETURNS TABLE (last bigint, first_id uuid, wires bytea[]) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY
    SELECT s.last, f.id, p.wires
    FROM hot_mark mark
    LEFT JOIN unnest(p_room, p_limit, p_before, p_after) WITH ORDINALITY AS q (room_id, size, before, after, n) ON true
    LEFT JOIN hot_spans s ON s.room_id = q.room_id
    LEFT JOIN LATERAL (
        SELECT m.id FROM hot_messages m WHERE m.room_id = s.room_id AND m.id >= p_from ORDER BY m.id LIMIT 1
    ) f ON true
    LEFT JOIN LATERAL (
        SELECT array_agg(o.wire) AS wires FROM (
            (
                SELECT m.wire FROM hot_messages m
                WHERE q.after IS NULL AND m.room_id = s.room_id AND m.id >= p_from AND m.id < q.before
                ORDER BY m.id DESC LIMIT q.size
            ) UNION ALL (
                SELECT m.wire FROM hot_messages m
                WHERE q.after IS NOT NULL AND m.room_id = s.room_id AND m.id >= p_from AND m.id > q.after
                ORDER BY m.id LIMIT q.size
            )
        ) o
    ) p ON true
    WHERE mark.epoch = p_epoch
    ORDER BY q.n;
END
$$;

-- The newest messages of the scope that match, among the newest `p_rows` of the scope.
CREATE FUNCTION hot_messages_walk(
    p_query tsquery, p_room uuid, p_after bigint, p_from uuid, p_rows bigint, p_limit bigint
) RETURNS TABLE (ts bigint, room_id uuid, id uuid, wire bytea) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
    IF p_room IS NULL THEN
        RETURN QUERY
        SELECT m.ts, m.room_id, m.id, m.wire FROM (
            SELECT h.ts, h.room_id, h.id, h.wire, h.tsv FROM hot_messages h
            WHERE h.public AND h.ts > p_after
            ORDER BY h.public DESC, h.ts DESC, h.room_id DESC, h.id DESC LIMIT p_rows
        ) m WHERE m.tsv @@ p_query LIMIT p_limit;
    ELSE
        RETURN QUERY
        SELECT m.ts, m.room_id, m.id, m.wire FROM (
            SELECT h.ts, h.room_id, h.id, h.wire, h.tsv FROM hot_messages h
            WHERE h.room_id = p_room AND h.id >= p_from
            ORDER BY h.room_id DESC, h.id DESC LIMIT p_rows
        ) m WHERE m.tsv @@ p_query LIMIT p_limit;
    END IF;
END
$$;

-- The newest messages of the scope that match, later than `p_from` and no later than `p_to`: what the index finds is
-- put aside first, and only then is it sorted and cut, because a limit in sight tempts the planner to walk.
CREATE FUNCTION hot_messages_find(p_query tsquery, p_room uuid, p_from bigint, p_to bigint, p_limit bigint)
RETURNS TABLE (ts bigint, room_id uuid, id uuid) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off AS $$
DECLARE
    scoped tsquery := coalesce(p_query && hot_times(p_from, p_to), p_query);
BEGIN
    IF p_room IS NULL THEN
        RETURN QUERY
        WITH found AS MATERIALIZED (
            SELECT h.ts, h.room_id, h.id FROM hot_messages h WHERE h.public AND h.tsv @@ scoped
        )
        SELECT * FROM found f WHERE f.ts > p_from AND f.ts <= p_to
        ORDER BY f.ts DESC, f.room_id DESC, f.id DESC LIMIT p_limit;
    ELSE
        scoped := scoped && quote_literal('r' || p_room)::tsquery;
        RETURN QUERY
        WITH found AS MATERIALIZED (
            SELECT h.ts, h.room_id, h.id FROM hot_messages h WHERE h.public AND h.tsv @@ scoped
            UNION ALL
            SELECT h.ts, h.room_id, h.id FROM hot_messages h WHERE NOT h.public AND h.tsv @@ scoped
        )
        SELECT * FROM found f WHERE f.ts > p_from AND f.ts <= p_to
        ORDER BY f.ts DESC, f.room_id DESC, f.id DESC LIMIT p_limit;
    END IF;
END
$$;

-- How many messages the scope has, counted no further than `p_most`, and the time of the last that was counted.
CREATE FUNCTION hot_messages_reach(
    p_room uuid, p_after bigint, p_from uuid, p_most bigint, OUT number bigint, OUT oldest bigint, OUT newest bigint
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_sort = off AS $$
BEGIN
    IF p_room IS NULL THEN
        SELECT count(*), min(o.ts), max(o.ts) INTO number, oldest, newest FROM (
            SELECT h.ts FROM hot_messages h WHERE h.public AND h.ts > p_after
            ORDER BY h.public DESC, h.ts DESC, h.room_id DESC, h.id DESC LIMIT p_most
        ) o;
    ELSE
        SELECT count(*), min(o.ts), max(o.ts) INTO number, oldest, newest FROM (
            SELECT h.ts FROM hot_messages h WHERE h.room_id = p_room AND h.id >= p_from
            ORDER BY h.room_id DESC, h.id DESC LIMIT p_most
        ) o;
    END IF;
END
$$;

-- Among the newest `p_rows` messages of the scope: for each word how many hold it, and the `p_nth` newest that does.
CREATE FUNCTION hot_messages_nth(
    p_words text[], p_room uuid, p_after bigint, p_from uuid, p_rows bigint, p_nth bigint
) RETURNS TABLE (n bigint, word text, number bigint, ts bigint, room_id uuid, id uuid) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
BEGIN
    RETURN QUERY
    WITH newest AS NOT MATERIALIZED (
        (
            SELECT h.ts, h.room_id, h.id, h.tsv FROM hot_messages h
            WHERE p_room IS NULL AND h.public AND h.ts > p_after
            ORDER BY h.public DESC, h.ts DESC, h.room_id DESC, h.id DESC LIMIT p_rows
        ) UNION ALL (
            SELECT h.ts, h.room_id, h.id, h.tsv FROM hot_messages h
            WHERE h.room_id = p_room AND h.id >= p_from
            ORDER BY h.room_id DESC, h.id DESC LIMIT p_rows
        )
    ), held AS (
        SELECT w.n, m.ts, m.room_id, m.id,
            row_number() OVER (PARTITION BY w.n ORDER BY m.ts DESC, m.room_id DESC, m.id DESC) AS place
        FROM newest m CROSS JOIN unnest(p_words::tsquery[]) WITH ORDINALITY AS w (query, n) WHERE m.tsv @@ w.query
    ), counted AS (
        SELECT h.n, count(*) AS number, max(h.ts) FILTER (WHERE h.place = p_nth) AS ts,
            (array_agg(h.room_id) FILTER (WHERE h.place = p_nth))[1] AS room_id,
            (array_agg(h.id) FILTER (WHERE h.place = p_nth))[1] AS id
        FROM held h GROUP BY h.n
    )
    SELECT w.n, w.word, coalesce(c.number, 0), c.ts, c.room_id, c.id
    FROM unnest(p_words) WITH ORDINALITY AS w (word, n) LEFT JOIN counted c ON c.n = w.n;
END
$$;

-- Finds the newest messages of the scope that hold all words.
--
-- 1. Words that are common are found among the newest 2,000 messages of the scope.
-- 2. Others are found by the index, which knows no order. What those 2,000 held lets expect how far back there are
--    enough, so the index is asked for that time first, at most four hours, and for all before it if that was too
--    little. Where they held none, all is little; only of one word it may be much, and four hours cost nothing.
-- 3. Where a scope has no more than 10,000 messages, only those count that are among the newest `p_candidates` which
--    hold the rarest of the words; of words that are equally rare, the first. In a larger scope nothing is missed.
CREATE FUNCTION hot_messages_search(
    p_epoch bigint, p_words text[], p_room uuid, p_after bigint, p_from uuid, p_limit bigint, p_candidates bigint,
    OUT stale boolean, OUT truncated boolean, OUT rooms uuid[], OUT wires bytea[]
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    query tsquery := array_to_string(p_words, ' & ')::tsquery;
    walked CONSTANT bigint := 2000;
    small CONSTANT bigint := 10000;
    reach record;
    part record;
    edge record;
    times bigint[] := '{}';
    ids uuid[] := '{}';
    upper_end bigint;
    lower_end bigint;
    hits bigint;
    kept bigint;
BEGIN
    stale := false;
    truncated := false;
    LOCK TABLE hot_messages IN ACCESS SHARE MODE; -- before the look at the mark: who begins an epoch truncates
    PERFORM FROM hot_mark WHERE epoch = p_epoch;
    IF NOT FOUND THEN
        stale := true;
        RETURN;
    END IF;

    SELECT array_agg(w.room_id), array_agg(w.wire) INTO rooms, wires
    FROM hot_messages_walk(query, p_room, p_after, p_from, least(p_candidates, walked), p_limit) w;
    IF cardinality(wires) = p_limit THEN
        RETURN;
    END IF;
    hits := coalesce(cardinality(wires), CASE WHEN cardinality(p_words) = 1 THEN 1 ELSE 0 END);
    SELECT * INTO reach FROM hot_messages_reach(p_room, p_after, p_from, CASE WHEN hits > 0 THEN walked ELSE 1 END);
    upper_end := reach.newest;
    lower_end := p_after;
    IF hits > 0 AND reach.number = walked THEN
        lower_end := greatest(
            p_after, upper_end - least((upper_end - reach.oldest + 1) * 3 * p_limit / (2 * hits), 14400000)
        );
    END IF;
    rooms := '{}';
    wires := '{}';
    WHILE upper_end > p_after AND cardinality(wires) < p_limit LOOP
        SELECT coalesce(array_agg(o.ts), '{}') AS times, coalesce(array_agg(o.room_id), '{}') AS rooms,
            coalesce(array_agg(o.id), '{}') AS ids, coalesce(array_agg(o.wire), '{}') AS wires
        INTO part FROM (
            SELECT f.ts, f.room_id, f.id, h.wire
            FROM hot_messages_find(query, p_room, lower_end, upper_end, p_limit - cardinality(wires)) f
            JOIN hot_messages h ON h.room_id = f.room_id AND h.id = f.id AND h.tsv @@ query
            ORDER BY f.ts DESC, f.room_id DESC, f.id DESC
        ) o;
        times := times || part.times;
        rooms := rooms || part.rooms;
        ids := ids || part.ids;
        wires := wires || part.wires;
        upper_end := lower_end;
        lower_end := p_after;
    END LOOP;

    IF cardinality(p_words) = 1 AND p_limit <= p_candidates OR pg_relation_size('hot_messages') > 100000000 THEN
        RETURN;
    END IF;
    SELECT * INTO reach FROM hot_messages_reach(p_room, p_after, p_from, small + 1);
    IF reach.number <= p_candidates OR reach.number > small THEN
        RETURN;
    END IF;
    SELECT w.* INTO edge FROM hot_messages_nth(p_words, p_room, p_after, p_from, small, p_candidates) w
    ORDER BY w.number, w.n LIMIT 1;
    IF edge.number <= p_candidates THEN
        RETURN;
    END IF;
    SELECT count(*) INTO kept FROM unnest(times, rooms, ids) AS o (ts, room_id, id)
    WHERE (o.ts, o.room_id, o.id) >= (edge.ts, edge.room_id, edge.id);
    rooms := rooms[:kept];
    wires := wires[:kept];
    truncated := kept < p_limit;
END
$$;

-- Decides charges one after the other and takes what is accepted.
--
-- p_key, p_window   all keys of the charges, each once
-- p_address, p_end  per charge: the peer's address, and the number of its last quota
-- p_quota, p_limit, p_cost  per quota: the number of its key, the limit, the cost
--
-- 1. The keys are locked in order. The locks are 256 for all keys, so that no batch fills the server's lock table.
-- 2. One statement reads how much of each key is used; then arithmetic decides; then one statement writes.
-- 3. What has expired is left to hot_sweep: no step here looks at it.
CREATE FUNCTION hot_limits_take(
    p_now bigint, p_key text[], p_window bigint[], p_address text[], p_end integer[],
    p_quota integer[], p_limit bigint[], p_cost bigint[],
    OUT allowed boolean[], OUT blocked boolean[], OUT remaining bigint[], OUT reset bigint[], OUT wait bigint[]
) LANGUAGE plpgsql
SET enable_seqscan = off SET enable_bitmapscan = off SET enable_hashjoin = off SET enable_mergejoin = off
SET lock_timeout = '900ms' AS $$
DECLARE
    before bigint[]; -- per key: what was ever taken before the window
    held bigint[];   -- per key: what was ever taken, as the table has it
    total bigint[];  -- likewise, with what this call takes
    times bigint[];  -- per key: now, or the last hit's time if a clock went back
    oldest bigint[]; -- per key: the time of the first hit that counts
    late integer[];  -- quotas that must wait for a hit to leave, and how much must have left
    goals bigint[];
    first integer := 1;
    k integer;
    fits boolean;
    q integer;
    goal bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('hot_limits_take'), o.stripe) FROM (
        SELECT DISTINCT hashtext(u.key) & 255 AS stripe FROM unnest(p_key) AS u (key) ORDER BY stripe
    ) o;

    SELECT array_agg(o.before), array_agg(o.held), array_agg(o.held), array_agg(o.at), array_agg(o.oldest)
    INTO before, held, total, times, oldest
    FROM (
        SELECT coalesce(l.cum, 0) AS held, greatest(p_now, l.at) AS at, f.at AS oldest,
            coalesce(f.cum - f.cost, l.cum, 0) AS before
        FROM unnest(p_key, p_window) WITH ORDINALITY AS u (key, width, n)
        LEFT JOIN LATERAL (
            SELECT h.cum, h.at FROM hot_limit_hits h WHERE h.key = u.key ORDER BY h.at DESC LIMIT 1
        ) l ON true
        LEFT JOIN LATERAL (
            SELECT h.cum, h.cost, h.at FROM hot_limit_hits h
            WHERE h.key = u.key AND h.at > greatest(p_now, l.at) - u.width ORDER BY h.at LIMIT 1
        ) f ON true
        ORDER BY u.n
    ) o;
    SELECT array_agg(o.blocked) INTO blocked FROM (
        SELECT u.address <> '' AND EXISTS (
            SELECT FROM hot_blocks b WHERE b.address = u.address AND b.until > p_now
        ) AS blocked
        FROM unnest(p_address) WITH ORDINALITY AS u (address, n) ORDER BY u.n
    ) o;

    FOR charge IN 1 .. cardinality(p_end) LOOP
        fits := NOT blocked[charge];
        IF fits THEN
            FOR q IN first .. p_end[charge] LOOP
                k := p_quota[q];
                IF total[k] - before[k] + p_cost[q] > p_limit[q] THEN
                    fits := false;
                    EXIT;
                END IF;
            END LOOP;
        END IF;
        allowed[charge] := fits;
        FOR q IN first .. p_end[charge] LOOP
            k := p_quota[q];
            IF fits THEN
                total[k] := total[k] + p_cost[q];
                IF oldest[k] IS NULL THEN
                    oldest[k] := times[k];
                END IF;
            END IF;
            remaining[q] := greatest(p_limit[q] - total[k] + before[k], 0);
            reset[q] := coalesce(oldest[k] + p_window[k], p_now);
            IF total[k] - before[k] + p_cost[q] <= p_limit[q] THEN
                wait[q] := 0;
            ELSIF p_cost[q] > p_limit[q] THEN
                wait[q] := p_window[k];
            ELSIF total[k] + p_cost[q] - p_limit[q] > held[k] THEN
                wait[q] := times[k] + p_window[k] - p_now;
            ELSE
                late := late || q;
                goals := goals || total[k] + p_cost[q] - p_limit[q];
            END IF;
        END LOOP;
        first := p_end[charge] + 1;
    END LOOP;

    FOR q, goal IN
        SELECT o.q, h.at + p_window[p_quota[o.q]] - p_now FROM unnest(late, goals) AS o (q, goal)
        CROSS JOIN LATERAL (
            SELECT t.at FROM hot_limit_hits t
            WHERE t.key = p_key[p_quota[o.q]] AND t.at >= oldest[p_quota[o.q]] AND t.cum >= o.goal
            ORDER BY t.at LIMIT 1
        ) h
    LOOP
        wait[q] := goal;
    END LOOP;

    INSERT INTO hot_limit_hits AS h (key, at, cum, cost, expires)
    SELECT u.key, u.at, u.total, u.total - u.held, u.at + u.width
    FROM unnest(p_key, p_window, times, held, total) AS u (key, width, at, held, total)
    WHERE u.total > u.held
    ON CONFLICT (key, at) DO UPDATE SET cum = excluded.cum, cost = h.cost + excluded.cost;
END
$$;

-- Deletes some hits, values and blocks that expired a minute ago, since another process' clock may be behind; returns
-- how many of a kind. What two processes would delete at once, one of them skips.
CREATE FUNCTION hot_sweep(p_now bigint, p_most bigint) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    hits bigint;
    swept bigint;
BEGIN
    DELETE FROM hot_limit_hits WHERE ctid = ANY (ARRAY(
        SELECT h.ctid FROM hot_limit_hits h WHERE h.expires < p_now - 60000
        ORDER BY h.expires LIMIT p_most FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS hits = ROW_COUNT;
    DELETE FROM hot_values WHERE ctid = ANY (ARRAY(
        SELECT v.ctid FROM hot_values v WHERE v.expires < p_now - 60000
        ORDER BY v.expires LIMIT p_most FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS swept = ROW_COUNT;
    DELETE FROM hot_blocks WHERE until < p_now - 60000;
    RETURN greatest(hits, swept);
END
$$;
"""

DOWNGRADE = """
DROP FUNCTION hot_sweep(bigint, bigint);
DROP FUNCTION hot_limits_take(bigint, text[], bigint[], text[], integer[], integer[], bigint[], bigint[]);
DROP FUNCTION hot_messages_search(bigint, text[], uuid, bigint, uuid, bigint, bigint);
DROP FUNCTION hot_messages_nth(text[], uuid, bigint, uuid, bigint, bigint);
DROP FUNCTION hot_messages_reach(uuid, bigint, uuid, bigint);
DROP FUNCTION hot_messages_find(tsquery, uuid, bigint, bigint, bigint);
DROP FUNCTION hot_messages_walk(tsquery, uuid, bigint, uuid, bigint, bigint);
DROP FUNCTION hot_messages_pages(bigint, uuid, uuid[], integer[], uuid[], uuid[]);
DROP FUNCTION hot_messages_prepend(bigint, bigint, uuid, uuid, boolean, bigint, uuid[], bigint[], bytea[], text[]);
DROP FUNCTION hot_messages_append(bigint, bigint, uuid[], boolean[], bigint[], bigint[], integer[], uuid[], bigint[],
    bigint[], bytea[], text[], integer[], bigint[], uuid[], bytea[], text[]);
DROP FUNCTION hot_messages_sweep(bigint);
DROP FUNCTION hot_messages_forget(bigint, uuid, bigint);
DROP FUNCTION hot_messages_revise(bigint, uuid, boolean, uuid[], bytea[], text[]);
DROP FUNCTION hot_messages_change(uuid[], boolean[], uuid[], bytea[], text[]);
DROP FUNCTION hot_is_stub(bytea);
DROP FUNCTION hot_position(uuid);
DROP FUNCTION hot_times(bigint, bigint);
DROP FUNCTION hot_tsv(uuid, bigint, text);
DROP TABLE hot_values;
DROP TABLE hot_blocks;
DROP TABLE hot_limit_hits;
DROP TABLE hot_messages;
DROP TABLE hot_spans;
DROP TABLE hot_mark;
DROP TABLE hot_store;
"""


def upgrade() -> None:
    run_script(UPGRADE)


def downgrade() -> None:
    run_script(DOWNGRADE)
