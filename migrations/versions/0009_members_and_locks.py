"""More of the hot store in Postgres: sets whose members expire, leases, and the sequence of fencing tokens."""

from aicq.db.scripts import run_script

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE UNLOGGED TABLE hot_members (
    key text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    expires bigint NOT NULL,
    CONSTRAINT pk_hot_members PRIMARY KEY (key, name)
) WITH (autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);
-- hot_sweep: members that have expired.
CREATE INDEX ix_hot_members_expires ON hot_members (expires);

CREATE UNLOGGED TABLE hot_locks (
    name text COLLATE "C" NOT NULL,
    owner text NOT NULL,
    expires bigint NOT NULL,
    CONSTRAINT pk_hot_locks PRIMARY KEY (name)
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0);

-- Fencing tokens. Logged, unlike the leases: no crash gives one out twice.
CREATE SEQUENCE lock_tokens;

-- Adds members, each unless that many others are in its set. Those who would join one set at once go one after the
-- other; waiting ends before their callers give up.
CREATE FUNCTION hot_members_join(p_key text[], p_name text[], p_expires bigint[], p_most bigint, p_now bigint)
RETURNS boolean[] LANGUAGE plpgsql SET enable_seqscan = off SET lock_timeout = '900ms' AS $$
DECLARE
    joined boolean[] := '{}';
    has_room boolean;
BEGIN
    PERFORM pg_advisory_xact_lock(number) FROM (
        SELECT DISTINCT hashtextextended('hot_members:' || key, 0) AS number FROM unnest(p_key) AS k (key) ORDER BY 1
    ) l;
    FOR n IN 1 .. cardinality(p_key) LOOP
        SELECT count(*) < p_most INTO has_room FROM hot_members
        WHERE key = p_key[n] AND name <> p_name[n] AND expires > p_now;
        IF has_room THEN
            INSERT INTO hot_members (key, name, expires) VALUES (p_key[n], p_name[n], p_expires[n])
            ON CONFLICT (key, name) DO UPDATE SET expires = excluded.expires;
        END IF;
        joined := joined || has_room;
    END LOOP;
    RETURN joined;
END
$$;

-- Deletes some hits, values, members, leases and blocks that expired a minute ago, since another process' clock may be
-- behind; returns how many of a kind. What two processes would delete at once, one of them skips.
CREATE OR REPLACE FUNCTION hot_sweep(p_now bigint, p_most bigint) RETURNS bigint LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    hits bigint;
    swept bigint;
    gone bigint;
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
    DELETE FROM hot_members WHERE ctid = ANY (ARRAY(
        SELECT m.ctid FROM hot_members m WHERE m.expires < p_now - 60000
        ORDER BY m.expires LIMIT p_most FOR UPDATE SKIP LOCKED
    ));
    GET DIAGNOSTICS gone = ROW_COUNT;
    DELETE FROM hot_locks WHERE expires < p_now - 60000;
    DELETE FROM hot_blocks WHERE until < p_now - 60000;
    RETURN greatest(hits, swept, gone);
END
$$;
"""

DOWNGRADE = """
CREATE OR REPLACE FUNCTION hot_sweep(p_now bigint, p_most bigint) RETURNS bigint LANGUAGE plpgsql
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

DROP FUNCTION hot_members_join(text[], text[], bigint[], bigint, bigint);
DROP SEQUENCE lock_tokens;
DROP TABLE hot_locks;
DROP TABLE hot_members;
"""


def upgrade() -> None:
    run_script(UPGRADE)


def downgrade() -> None:
    run_script(DOWNGRADE)
