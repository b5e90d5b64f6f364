"""Rooms, their members, the message log, and the function that appends to it."""

from aicq.db.scripts import run_script

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TYPE room_kind AS ENUM ('room', 'text', 'voice', 'dm', 'group_dm');
CREATE TYPE user_role AS ENUM ('owner', 'admin', 'member', 'viewer');
CREATE TYPE entry_kind AS ENUM ('message', 'edit', 'delete');

CREATE TABLE rooms (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    name text,
    description text,
    kind room_kind NOT NULL DEFAULT 'room',
    guild_id uuid,
    is_private boolean NOT NULL DEFAULT false,
    key_hash text,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    last_active_at timestamptz NOT NULL DEFAULT now(),
    message_count bigint NOT NULL DEFAULT 0,
    last_seq bigint NOT NULL DEFAULT 0,
    CONSTRAINT pk_rooms PRIMARY KEY (id),
    CONSTRAINT fk_rooms_created_by_actors FOREIGN KEY (created_by) REFERENCES actors (id) ON DELETE SET NULL,
    CONSTRAINT ck_rooms_only_dms_are_nameless CHECK (name IS NOT NULL OR kind IN ('dm', 'group_dm')),
    CONSTRAINT ck_rooms_dms_are_private CHECK (is_private OR kind NOT IN ('dm', 'group_dm'))
);
-- The last entry's time is on the row, and each commit moves it: room for such updates within the page.
ALTER TABLE rooms SET (fillfactor = 50);

-- RoomRepository.list_public: the most lively first.
CREATE INDEX ix_rooms_public_last_active ON rooms (last_active_at DESC, id)
    WHERE NOT is_private AND deleted_at IS NULL;
-- RoomRepository: a room by its name.
CREATE INDEX ix_rooms_name ON rooms (name);
-- The foreign key's SET NULL.
CREATE INDEX ix_rooms_created_by ON rooms (created_by);

CREATE TABLE messages (
    room_id uuid NOT NULL,
    seq bigint NOT NULL,
    id uuid NOT NULL,
    entry entry_kind NOT NULL DEFAULT 'message',
    target_id uuid,
    author_id uuid NOT NULL,
    body text NOT NULL,
    type text NOT NULL DEFAULT 'text',
    parent_id uuid,
    signature text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    edited_at timestamptz,
    is_edited boolean NOT NULL GENERATED ALWAYS AS (edited_at IS NOT NULL) STORED,
    deleted_at timestamptz,
    CONSTRAINT pk_messages PRIMARY KEY (room_id, seq),
    CONSTRAINT uq_messages_room_id_id UNIQUE (room_id, id),
    CONSTRAINT fk_messages_room_id_rooms FOREIGN KEY (room_id) REFERENCES rooms (id) ON DELETE RESTRICT,
    CONSTRAINT fk_messages_author_id_actors FOREIGN KEY (author_id) REFERENCES actors (id) ON DELETE RESTRICT,
    CONSTRAINT ck_messages_only_changes_have_a_target CHECK ((entry = 'message') = (target_id IS NULL))
);
-- The foreign key's RESTRICT, and an author's messages.
CREATE INDEX ix_messages_author_id ON messages (author_id);

CREATE TABLE room_members (
    room_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    role user_role NOT NULL DEFAULT 'member',
    joined_at timestamptz NOT NULL DEFAULT now(),
    last_read_message_id uuid,
    CONSTRAINT pk_room_members PRIMARY KEY (room_id, actor_id),
    CONSTRAINT fk_room_members_room_id_rooms FOREIGN KEY (room_id) REFERENCES rooms (id) ON DELETE CASCADE,
    CONSTRAINT fk_room_members_actor_id_actors FOREIGN KEY (actor_id) REFERENCES actors (id) ON DELETE CASCADE,
    CONSTRAINT fk_room_members_last_read_messages FOREIGN KEY (room_id, last_read_message_id)
        REFERENCES messages (room_id, id) ON DELETE SET NULL (last_read_message_id)
);
-- DirectMessages.inbox: an actor's rooms.
CREATE INDEX ix_room_members_actor_id ON room_members (actor_id);
-- The foreign key's SET NULL.
CREATE INDEX ix_room_members_last_read ON room_members (room_id, last_read_message_id)
    WHERE last_read_message_id IS NOT NULL;

INSERT INTO rooms (id, name) VALUES ('00000000-0000-0000-0000-000000000001', 'global');

-- Commits a group of entries in one round trip. It judges each entry alone and stores those that pass; nothing that one
-- caller sent costs another an answer. Verdicts: stored, busy (the room is locked elsewhere; only if p_wait is false),
-- no_room, no_author, no_key, no_member, no_parent, no_message, not_yours,
-- replay.
--
-- 1. The rooms are locked in the order of their ids, in a statement of its own: as a part of the next one the planner
--    would drop the lock, and that statement would see the rooms as they were before it got them.
-- 2. One statement then judges, spends nonces, assigns positions, writes and counts. A nonce is spent only by an entry
--    that passed everything else. A group holds no nonce twice and no target twice; MessageLog sees to it.
CREATE FUNCTION message_log_append(
    p_wait boolean, p_room uuid[], p_author uuid[], p_entry text[], p_body text[], p_type text[], p_parent uuid[],
    p_target uuid[], p_signature text[], p_proof text[], p_as_member boolean[], p_may_moderate boolean[],
    p_nonce text[], p_waited bigint[], p_tail bigint[]
) RETURNS TABLE (verdict text, id uuid, is_public boolean)
LANGUAGE plpgsql
-- The plan is made once and kept, perhaps while the tables are small; it has to be the right one when they are large.
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off SET plan_cache_mode = force_generic_plan
AS $$
#variable_conflict use_column
DECLARE
    locked uuid[];
    clock_ms bigint;
BEGIN
    IF p_wait THEN
        PERFORM set_config('lock_timeout', '10s', true);
        SELECT coalesce(array_agg(l.id), '{}') INTO locked FROM (
            SELECT r.id FROM rooms r WHERE r.id = ANY (p_room) ORDER BY r.id FOR NO KEY UPDATE
        ) l;
    ELSE
        SELECT coalesce(array_agg(l.id), '{}') INTO locked FROM (
            SELECT r.id FROM rooms r WHERE r.id = ANY (p_room) ORDER BY r.id FOR NO KEY UPDATE SKIP LOCKED
        ) l;
    END IF;
    clock_ms := floor(extract(epoch FROM clock_timestamp()) * 1000);

    RETURN QUERY
    WITH item AS (
        SELECT * FROM unnest(
            p_room, p_author, p_entry, p_body, p_type, p_parent, p_target, p_signature, p_proof, p_as_member,
            p_may_moderate, p_nonce, p_waited, p_tail
        ) WITH ORDINALITY AS i (
            room_id, author_id, entry, body, type, parent_id, target_id, signature, proof, as_member,
            may_moderate, nonce, waited, tail, n
        )
    ), judged AS (
        SELECT i.*, r.last_seq, r.is_private,
            floor(extract(epoch FROM r.last_active_at) * 1000)::bigint AS last_ms,
            CASE
                WHEN r.id IS NULL OR r.deleted_at IS NOT NULL THEN 'no_room'
                -- Its id can be derived by anybody, and any other answer would tell who has written to whom.
                WHEN r.kind IN ('dm', 'group_dm') AND NOT i.as_member THEN 'no_room'
                WHEN NOT r.id = ANY (locked) THEN 'busy'
                WHEN (SELECT a.is_active FROM agents a WHERE a.id = i.author_id) IS NOT TRUE THEN 'no_author'
                WHEN i.entry = 'delete' THEN coalesce((
                    SELECT CASE WHEN i.may_moderate OR t.author_id = i.author_id THEN 'stored' ELSE 'not_yours' END
                    FROM messages t
                    WHERE t.room_id = i.room_id AND t.id = i.target_id AND t.entry = 'message' AND t.deleted_at IS NULL
                ), 'no_message')
                -- Not even the absence of a key opens a room that has none.
                WHEN r.is_private AND NOT i.as_member AND (i.proof = r.key_hash) IS NOT TRUE THEN 'no_key'
                WHEN r.is_private AND i.as_member AND (
                    SELECT m.role FROM room_members m WHERE m.room_id = i.room_id AND m.actor_id = i.author_id
                ) IS NULL THEN 'no_member'
                WHEN i.parent_id IS NOT NULL AND (
                    SELECT p.seq FROM messages p
                    WHERE p.room_id = i.room_id AND p.id = i.parent_id AND p.entry = 'message' AND p.deleted_at IS NULL
                ) IS NULL THEN 'no_parent'
                ELSE 'stored'
            END AS verdict
        FROM item i LEFT JOIN rooms r ON r.id = i.room_id
    ), spent AS (
        INSERT INTO nonces (actor_id, nonce)
        SELECT j.author_id, j.nonce FROM judged j WHERE j.verdict = 'stored' AND j.nonce IS NOT NULL
        ORDER BY j.author_id, j.nonce
        ON CONFLICT DO NOTHING
        RETURNING actor_id, nonce
    ), accepted AS (
        SELECT j.*, CASE
            WHEN j.verdict <> 'stored' OR j.nonce IS NULL THEN j.verdict
            WHEN (j.author_id, j.nonce) IN (SELECT s.actor_id, s.nonce FROM spent s) THEN 'stored'
            ELSE 'replay'
        END AS answer
        FROM judged j
    ), placed AS (
        SELECT a.*,
            a.last_seq + count(*) FILTER (WHERE a.answer = 'stored') OVER arrival AS seq,
            max(greatest(clock_ms - a.waited, a.last_ms)) FILTER (WHERE a.answer = 'stored') OVER arrival AS at_ms
        FROM accepted a
        WINDOW arrival AS (PARTITION BY a.room_id ORDER BY a.n)
    ), entry AS (
        SELECT p.*, timestamptz 'epoch' + p.at_ms * interval '1 millisecond' AS at,
            CASE WHEN p.answer = 'stored' THEN
                (lpad(to_hex(p.at_ms), 12, '0') || lpad(to_hex(p.seq), 10, '0') || lpad(to_hex(p.tail), 10, '0'))::uuid
            END AS id
        FROM placed p
    ), added AS (
        INSERT INTO messages (
            room_id, seq, id, entry, target_id, author_id, body, type, parent_id, signature, created_at, updated_at
        )
        SELECT e.room_id, e.seq, e.id, e.entry::entry_kind, e.target_id, e.author_id, e.body, e.type, e.parent_id,
            e.signature, e.at, e.at
        FROM entry e WHERE e.answer = 'stored'
    ), changed AS (
        UPDATE messages m SET deleted_at = e.at, updated_at = e.at
        FROM entry e
        WHERE e.answer = 'stored' AND e.entry = 'delete' AND m.room_id = e.room_id AND m.id = e.target_id
    ), counted AS (
        UPDATE rooms r SET
            last_seq = g.last_seq, message_count = r.message_count + g.more, last_active_at = g.last_at
        FROM (
            SELECT e.room_id, max(e.seq) AS last_seq, max(e.at) AS last_at,
                count(*) FILTER (WHERE e.entry = 'message') - count(*) FILTER (WHERE e.entry = 'delete') AS more
            FROM entry e WHERE e.answer = 'stored' GROUP BY e.room_id
        ) g
        WHERE r.id = g.room_id
    )
    SELECT e.answer, e.id, NOT e.is_private FROM entry e ORDER BY e.n;
END
$$;
"""

DOWNGRADE = """
DROP FUNCTION message_log_append(boolean, uuid[], uuid[], text[], text[], text[], uuid[], uuid[], text[], text[],
    boolean[], boolean[], text[], bigint[], bigint[]);
DROP TABLE room_members;
DROP TABLE messages;
DROP TABLE rooms;
DROP TYPE entry_kind;
DROP TYPE user_role;
DROP TYPE room_kind;
"""


def upgrade() -> None:
    run_script(UPGRADE)


def downgrade() -> None:
    run_script(DOWNGRADE)
