"""Sets whose members expire: who joins is counted in, instead of counting the set for each of them.

A thousand streams that one address opens at once had their set counted a thousand times, with all who had left it and
were not cleared away yet: the first storm of them took 0.5 s, the eighth 0.9.
"""

from aicq.db.scripts import run_script

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None

JOIN = """
CREATE OR REPLACE FUNCTION hot_members_join(
    p_key text[], p_name text[], p_expires bigint[], p_most bigint, p_now bigint
) RETURNS boolean[] LANGUAGE plpgsql SET enable_seqscan = off SET lock_timeout = '900ms' AS $$
DECLARE
    joined boolean[] := '{}';
%s
BEGIN
    PERFORM pg_advisory_xact_lock(number) FROM (
        SELECT DISTINCT hashtextextended('hot_members:' || key, 0) AS number FROM unnest(p_key) AS k (key) ORDER BY 1
    ) l;
%s
        joined := joined || has_room;
    END LOOP;
    RETURN joined;
END
$$;
"""

# What is counted is counted by a statement of its own: it sees who joined before the lock was had.
UPGRADE = JOIN % (
    """\
    has_room boolean;
    sets text[];
    counts bigint[];
    place int;
    others bigint;""",
    """\
    SELECT array_agg(k.key), array_agg((SELECT count(*) FROM hot_members m WHERE m.key = k.key AND m.expires > p_now))
    INTO sets, counts FROM (SELECT DISTINCT key FROM unnest(p_key) AS u (key)) k;
    FOR n IN 1 .. cardinality(p_key) LOOP
        place := array_position(sets, p_key[n]);
        SELECT counts[place] - count(*) INTO others FROM hot_members
        WHERE key = p_key[n] AND name = p_name[n] AND expires > p_now;
        has_room := others < p_most;
        IF has_room THEN
            INSERT INTO hot_members (key, name, expires) VALUES (p_key[n], p_name[n], p_expires[n])
            ON CONFLICT (key, name) DO UPDATE SET expires = excluded.expires;
            counts[place] := others + (p_expires[n] > p_now)::int;
        END IF;""",
)

DOWNGRADE = JOIN % (
    """\
    has_room boolean;""",
    """\
    FOR n IN 1 .. cardinality(p_key) LOOP
        SELECT count(*) < p_most INTO has_room FROM hot_members
        WHERE key = p_key[n] AND name <> p_name[n] AND expires > p_now;
        IF has_room THEN
            INSERT INTO hot_members (key, name, expires) VALUES (p_key[n], p_name[n], p_expires[n])
            ON CONFLICT (key, name) DO UPDATE SET expires = excluded.expires;
        END IF;""",
)


def upgrade() -> None:
    """Applies this step."""
    run_script(UPGRADE)


def downgrade() -> None:
    """Takes this step back."""
    run_script(DOWNGRADE)
