"""Search in Postgres: the last four hours are looked through before the whole day, and the index tells of rare words.

A word that hundreds of a day's messages hold, but hardly any of the newest, was looked up in the whole day as soon as
its newest did not suffice, and each message that holds it costs a page: of a million messages up to 2,180, in 99 of 100
searches for one such word. Now it is 1,078.

Whether a small scope holds so many messages with each of the words that candidates have to be counted, only a walk
through all of it told: 7 ms in a scope of 10,000 messages. Now the index tells it first of words that are rare.
"""

from aicq.db.scripts import run_script

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None

# As in migration 0003, but for the four parts that are left open.
SEARCH = """
CREATE OR REPLACE FUNCTION hot_messages_search(
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
%(declared)s    hits bigint;
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
%(first)s    rooms := '{}';
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
        %(next)s
    END LOOP;

    IF cardinality(p_words) = 1 AND p_limit <= p_candidates OR pg_relation_size('hot_messages') > 100000000 THEN
        RETURN;
    END IF;
%(rare)s    SELECT * INTO reach FROM hot_messages_reach(p_room, p_after, p_from, small + 1);
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
"""

HELD = """
-- How many messages of the scope hold a word by the index, counted no further than `p_most`; some may have expired.
CREATE FUNCTION hot_messages_held(p_word tsquery, p_room uuid, p_most bigint) RETURNS bigint LANGUAGE plpgsql
SET enable_bitmapscan = on SET enable_seqscan = off SET enable_indexscan = off SET enable_indexonlyscan = off AS $$
DECLARE
    number bigint;
BEGIN
    IF p_room IS NULL THEN
        SELECT count(*) INTO number FROM (
            SELECT FROM hot_messages h WHERE h.public AND h.tsv @@ p_word LIMIT p_most
        ) o;
    ELSE
        p_word := p_word && quote_literal('r' || p_room)::tsquery;
        SELECT count(*) INTO number FROM (
            SELECT FROM hot_messages h WHERE h.public AND h.tsv @@ p_word
            UNION ALL
            SELECT FROM hot_messages h WHERE NOT h.public AND h.tsv @@ p_word
            LIMIT p_most
        ) o;
    END IF;
    RETURN number;
END
$$;
"""

UPGRADE = HELD + SEARCH % {
    "declared": """\
    part_of_day bigint;
    word text;
""",
    "first": """\
    part_of_day := greatest(p_after, upper_end - 14400000);
    IF hits > 0 AND reach.number = walked THEN
        lower_end := greatest(part_of_day, upper_end - (upper_end - reach.oldest + 1) * 3 * p_limit / (2 * hits));
    END IF;
""",
    # The hours in between are worth a look of their own if they promise enough: by half more than is wanted.
    "next": """\
lower_end := CASE
            WHEN lower_end > part_of_day AND cardinality(wires) * (reach.newest - part_of_day)
                >= (reach.newest - lower_end) * 3 * p_limit / 2
            THEN part_of_day ELSE p_after
        END;""",
    "rare": """\
    FOREACH word IN ARRAY p_words LOOP
        IF hot_messages_held(word::tsquery, p_room, p_candidates + 1) <= p_candidates THEN
            RETURN;
        END IF;
    END LOOP;
""",
}

DOWNGRADE = "DROP FUNCTION hot_messages_held(tsquery, uuid, bigint);" + SEARCH % {
    "declared": "",
    "first": """\
    IF hits > 0 AND reach.number = walked THEN
        lower_end := greatest(
            p_after, upper_end - least((upper_end - reach.oldest + 1) * 3 * p_limit / (2 * hits), 14400000)
        );
    END IF;
""",
    "next": "lower_end := p_after;",
    "rare": "",
}


def upgrade() -> None:
    """Applies this step."""
    run_script(UPGRADE)


def downgrade() -> None:
    """Takes this step back."""
    run_script(DOWNGRADE)
