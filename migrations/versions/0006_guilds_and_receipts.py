"""Guilds, roles, receipts, attachments, and edits in the log."""

from aicq.db.scripts import run_script

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE guilds (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    name text NOT NULL,
    description text,
    owner_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    CONSTRAINT pk_guilds PRIMARY KEY (id),
    CONSTRAINT fk_guilds_owner_id_actors FOREIGN KEY (owner_id) REFERENCES actors (id) ON DELETE RESTRICT,
    CONSTRAINT ck_guilds_name CHECK (length(name) BETWEEN 1 AND 100 AND name = btrim(name))
);
-- The foreign key's RESTRICT, and leave_guilds: what an actor owns.
CREATE INDEX ix_guilds_owner_id ON guilds (owner_id);

CREATE TABLE guild_members (
    guild_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    nickname text,
    joined_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_guild_members PRIMARY KEY (guild_id, actor_id),
    CONSTRAINT fk_guild_members_guild_id_guilds FOREIGN KEY (guild_id) REFERENCES guilds (id) ON DELETE CASCADE,
    CONSTRAINT fk_guild_members_actor_id_actors FOREIGN KEY (actor_id) REFERENCES actors (id) ON DELETE CASCADE,
    CONSTRAINT ck_guild_members_nickname CHECK (length(nickname) BETWEEN 1 AND 100)
);
-- GuildRepository.list_of_actor; the foreign key's CASCADE.
CREATE INDEX ix_guild_members_actor_id ON guild_members (actor_id, guild_id);

CREATE TABLE guild_bans (
    guild_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    banned_by uuid,
    reason text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_guild_bans PRIMARY KEY (guild_id, actor_id),
    CONSTRAINT fk_guild_bans_guild_id_guilds FOREIGN KEY (guild_id) REFERENCES guilds (id) ON DELETE CASCADE,
    CONSTRAINT fk_guild_bans_actor_id_actors FOREIGN KEY (actor_id) REFERENCES actors (id) ON DELETE CASCADE,
    CONSTRAINT fk_guild_bans_banned_by_actors FOREIGN KEY (banned_by) REFERENCES actors (id) ON DELETE SET NULL
);
-- The foreign key's CASCADE.
CREATE INDEX ix_guild_bans_actor_id ON guild_bans (actor_id);
-- The foreign key's SET NULL.
CREATE INDEX ix_guild_bans_banned_by ON guild_bans (banned_by);

-- The role at position 0 is @everyone: all members have it, and no row of member_roles says so. A role outranks those
-- at lower positions.
CREATE TABLE roles (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    guild_id uuid NOT NULL,
    name text NOT NULL,
    permissions bigint NOT NULL DEFAULT 0,
    position integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_roles PRIMARY KEY (id),
    CONSTRAINT fk_roles_guild_id_guilds FOREIGN KEY (guild_id) REFERENCES guilds (id) ON DELETE CASCADE,
    CONSTRAINT uq_roles_guild_id_id UNIQUE (guild_id, id),
    CONSTRAINT uq_roles_guild_id_position UNIQUE (guild_id, position) DEFERRABLE,
    CONSTRAINT ck_roles_name CHECK (length(name) BETWEEN 1 AND 100 AND name = btrim(name)),
    CONSTRAINT ck_roles_permissions CHECK (permissions BETWEEN 0 AND 255),
    CONSTRAINT ck_roles_position CHECK (position >= 0)
);

CREATE TABLE member_roles (
    guild_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    role_id uuid NOT NULL,
    CONSTRAINT pk_member_roles PRIMARY KEY (guild_id, actor_id, role_id),
    CONSTRAINT fk_member_roles_guild_id_guild_members FOREIGN KEY (guild_id, actor_id)
        REFERENCES guild_members (guild_id, actor_id) ON DELETE CASCADE,
    CONSTRAINT fk_member_roles_guild_id_roles FOREIGN KEY (guild_id, role_id)
        REFERENCES roles (guild_id, id) ON DELETE CASCADE
);
-- RoleRepository.list_holders; the foreign key's CASCADE.
CREATE INDEX ix_member_roles_guild_id_role_id ON member_roles (guild_id, role_id);

CREATE TRIGGER set_updated_at_guild BEFORE UPDATE ON guilds
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION trigger_set_updated_at();
CREATE TRIGGER set_updated_at_role BEFORE UPDATE ON roles
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION trigger_set_updated_at();

-- A guild has @everyone, who may view and post, and its owner among its members; nothing can forget them. Nobody who is
-- gone becomes an owner, and nobody who becomes one goes at the same time: their deletion locks the actor, too.
CREATE FUNCTION found_guild() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM actors WHERE id = NEW.owner_id AND deleted_at IS NULL FOR KEY SHARE;
    IF NOT FOUND THEN
        RAISE foreign_key_violation USING
            MESSAGE = 'the owner is deleted', TABLE = 'guilds', CONSTRAINT = 'fk_guilds_owner_id_actors';
    END IF;
    INSERT INTO guild_members (guild_id, actor_id) VALUES (NEW.id, NEW.owner_id) ON CONFLICT DO NOTHING;
    IF TG_OP = 'INSERT' THEN
        INSERT INTO roles (guild_id, name, permissions, position) VALUES (NEW.id, '@everyone', 3, 0);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER found_guild AFTER INSERT OR UPDATE OF owner_id ON guilds
    FOR EACH ROW EXECUTE FUNCTION found_guild();

-- Who is gone is no member any more. Direct messages keep both of theirs, or the other one would lose them.
CREATE FUNCTION leave_guilds() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM guilds WHERE owner_id = NEW.id AND deleted_at IS NULL) THEN
        RAISE foreign_key_violation USING
            MESSAGE = 'the actor owns a guild', TABLE = 'guilds', CONSTRAINT = 'fk_guilds_owner_id_actors';
    END IF;
    DELETE FROM guild_members WHERE actor_id = NEW.id;
    DELETE FROM room_members m USING rooms r
    WHERE m.actor_id = NEW.id AND r.id = m.room_id AND r.kind NOT IN ('dm', 'group_dm');
    RETURN NULL;
END
$$;

CREATE TRIGGER leave_guilds AFTER UPDATE OF deleted_at ON actors
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION leave_guilds();

-- A guild's channel is a room that is not public: whoever may view in the guild sees it, or its own members alone.
ALTER TABLE rooms
    ADD COLUMN members_only boolean NOT NULL DEFAULT false,
    DROP CONSTRAINT ck_rooms_dms_are_private,
    ADD CONSTRAINT ck_rooms_only_plain_rooms_are_public CHECK (is_private OR kind = 'room'),
    ADD CONSTRAINT ck_rooms_channels_have_a_guild CHECK ((kind IN ('text', 'voice')) = (guild_id IS NOT NULL)),
    ADD CONSTRAINT ck_rooms_only_channels_are_members_only CHECK (NOT members_only OR guild_id IS NOT NULL),
    ADD CONSTRAINT fk_rooms_guild_id_guilds FOREIGN KEY (guild_id) REFERENCES guilds (id) ON DELETE RESTRICT;
-- RoomViewRepository.list_of_guild; the foreign key's RESTRICT.
CREATE INDEX ix_rooms_guild_id ON rooms (guild_id, id) WHERE guild_id IS NOT NULL;
-- Retention.purge: rooms that were deleted, the first one first.
CREATE INDEX ix_rooms_deleted_at ON rooms (deleted_at) WHERE deleted_at IS NOT NULL;

CREATE TABLE message_read_receipts (
    room_id uuid NOT NULL,
    message_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    read_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_message_read_receipts PRIMARY KEY (room_id, message_id, actor_id),
    CONSTRAINT fk_message_read_receipts_room_id_messages FOREIGN KEY (room_id, message_id)
        REFERENCES messages (room_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_message_read_receipts_actor_id_actors FOREIGN KEY (actor_id)
        REFERENCES actors (id) ON DELETE CASCADE
);
-- RoomViewRepository: the newest message of a room that an actor has read; the foreign key's CASCADE.
CREATE INDEX ix_message_read_receipts_actor_id ON message_read_receipts (actor_id, room_id, message_id);

CREATE TABLE message_attachments (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    room_id uuid NOT NULL,
    message_id uuid NOT NULL,
    uploader_id uuid,
    filename text NOT NULL,
    content_type text NOT NULL DEFAULT 'application/octet-stream',
    size_bytes bigint NOT NULL,
    storage_key text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_message_attachments PRIMARY KEY (id),
    CONSTRAINT fk_message_attachments_room_id_messages FOREIGN KEY (room_id, message_id)
        REFERENCES messages (room_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_message_attachments_uploader_id_actors FOREIGN KEY (uploader_id)
        REFERENCES actors (id) ON DELETE SET NULL,
    CONSTRAINT ck_message_attachments_filename CHECK (length(filename) BETWEEN 1 AND 255),
    CONSTRAINT ck_message_attachments_size_bytes CHECK (size_bytes >= 0)
);
-- AttachmentRepository.list_of_message; the foreign key's CASCADE.
CREATE INDEX ix_message_attachments_room_id_message_id ON message_attachments (room_id, message_id);
-- The foreign key's SET NULL.
CREATE INDEX ix_message_attachments_uploader_id ON message_attachments (uploader_id);

-- RoomViewRepository.list_of_actor: in the order of their ids; DirectMessages.inbox; the foreign key's CASCADE.
DROP INDEX ix_room_members_actor_id;
CREATE INDEX ix_room_members_actor_id ON room_members (actor_id, room_id);

CREATE FUNCTION actor_is_active(p_actor uuid) RETURNS boolean LANGUAGE plpgsql STABLE
SET enable_seqscan = off AS $$
BEGIN
    RETURN coalesce(
        (SELECT a.is_active FROM agents a WHERE a.id = p_actor), (SELECT u.is_active FROM users u WHERE u.id = p_actor),
        false
    );
END
$$;

-- What a member may do in a guild: @everyone's permissions and those of the member's roles; all for the owner and for
-- administrators; nothing for who is no member, or not active. 1 view, 2 post, 4 manage messages, 8 manage rooms,
-- 16 manage roles, 32 kick, 64 ban, 128 administrator. Without view there is nothing.
CREATE FUNCTION guild_permissions(p_guild uuid, p_actor uuid) RETURNS bigint LANGUAGE plpgsql STABLE
SET enable_seqscan = off AS $$
DECLARE
    owner uuid;
    granted bigint;
BEGIN
    SELECT g.owner_id INTO owner FROM guilds g JOIN guild_members m ON m.guild_id = g.id AND m.actor_id = p_actor
    WHERE g.id = p_guild AND g.deleted_at IS NULL;
    IF owner IS NULL OR NOT actor_is_active(p_actor) THEN
        RETURN 0;
    ELSIF owner = p_actor THEN
        RETURN 255;
    END IF;
    SELECT bit_or(r.permissions) INTO granted FROM (
        SELECT permissions FROM roles WHERE guild_id = p_guild AND position = 0
        UNION ALL
        SELECT r.permissions FROM member_roles h JOIN roles r ON r.id = h.role_id
        WHERE h.guild_id = p_guild AND h.actor_id = p_actor
    ) r;
    RETURN CASE WHEN granted & 128 <> 0 THEN 255 WHEN granted & 1 <> 0 THEN granted ELSE 0 END;
END
$$;

-- What an actor may do in a room, by the same bits. A private room's key opens it besides; that is not known here.
CREATE FUNCTION room_permissions(p_room uuid, p_actor uuid) RETURNS bigint LANGUAGE plpgsql STABLE
SET enable_seqscan = off AS $$
DECLARE
    room record;
    granted bigint;
BEGIN
    SELECT r.guild_id, r.is_private, r.members_only, m.role INTO room
    FROM rooms r LEFT JOIN room_members m ON m.room_id = r.id AND m.actor_id = p_actor
    WHERE r.id = p_room AND r.deleted_at IS NULL;
    IF NOT FOUND THEN
        RETURN 0;
    ELSIF room.guild_id IS NULL THEN
        RETURN CASE
            WHEN NOT actor_is_active(p_actor) THEN 0
            WHEN room.role IN ('owner', 'admin') THEN 11
            WHEN room.role = 'member' OR NOT room.is_private THEN 3
            WHEN room.role = 'viewer' THEN 1
            ELSE 0
        END;
    END IF;
    granted := guild_permissions(room.guild_id, p_actor);
    RETURN CASE
        WHEN granted & 128 <> 0 THEN granted
        WHEN room.members_only AND room.role IS NULL THEN 0
        WHEN room.role = 'viewer' THEN granted & ~2::bigint
        ELSE granted
    END;
END
$$;

-- How high a member stands in a guild: at their highest role's position, the owner above all. NULL for who is none.
CREATE FUNCTION guild_rank(p_guild uuid, p_actor uuid) RETURNS integer LANGUAGE plpgsql STABLE
SET enable_seqscan = off AS $$
BEGIN
    RETURN (
        SELECT CASE WHEN g.owner_id = p_actor THEN 2147483647 ELSE coalesce((
            SELECT max(r.position) FROM member_roles h JOIN roles r ON r.id = h.role_id
            WHERE h.guild_id = p_guild AND h.actor_id = p_actor
        ), 0) END
        FROM guilds g JOIN guild_members m ON m.guild_id = g.id AND m.actor_id = p_actor
        WHERE g.id = p_guild AND g.deleted_at IS NULL
    );
END
$$;

-- The function of 0002, and more:
--
-- * An edit is an entry that only the message's author makes; it changes the text in the same commit.
-- * A channel is opened by the guild's permissions; who may manage messages there may delete what others wrote.
-- * Users write as agents do. Viewers of a room do not write. Where one of a pair has blocked the other, neither does.
--
-- Further verdicts: no_post, blocked, not_author.
CREATE OR REPLACE FUNCTION message_log_append(
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
                WHEN r.kind IN ('dm', 'group_dm') AND NOT i.as_member AND NOT (i.may_moderate AND i.entry = 'delete')
                    THEN 'no_room'
                WHEN NOT r.id = ANY (locked) THEN 'busy'
                WHEN coalesce(
                    (SELECT a.is_active FROM agents a WHERE a.id = i.author_id),
                    (SELECT u.is_active FROM users u WHERE u.id = i.author_id)
                ) IS NOT TRUE THEN 'no_author'
                -- Channels and direct messages are there for those alone who may see them.
                WHEN r.kind <> 'room' AND coalesce(granted.permissions, 0) & 1 = 0
                    AND NOT (i.may_moderate AND i.entry = 'delete') THEN 'no_room'
                WHEN r.kind = 'room' AND r.is_private AND i.as_member AND granted.permissions IS NULL
                    AND i.entry <> 'delete' THEN 'no_member'
                -- Not even the absence of a key opens a room that has none.
                WHEN r.kind = 'room' AND r.is_private AND NOT i.as_member AND i.entry <> 'delete'
                    AND (i.proof = r.key_hash) IS NOT TRUE THEN 'no_key'
                WHEN granted.permissions & 2 = 0 AND i.entry <> 'delete' THEN 'no_post'
                WHEN r.kind = 'dm' AND i.entry <> 'delete' AND EXISTS (
                    SELECT FROM room_members m JOIN friendships f ON f.status = 'blocked' AND (
                        f.actor_id = m.actor_id AND f.friend_id = i.author_id
                        OR f.actor_id = i.author_id AND f.friend_id = m.actor_id
                    )
                    WHERE m.room_id = i.room_id AND m.actor_id <> i.author_id
                ) THEN 'blocked'
                WHEN i.target_id IS NOT NULL THEN coalesce((
                    SELECT CASE
                        WHEN t.author_id = i.author_id THEN 'stored'
                        WHEN i.entry = 'edit' THEN 'not_author'
                        WHEN i.may_moderate OR granted.permissions & 4 <> 0 THEN 'stored'
                        ELSE 'not_yours'
                    END
                    FROM messages t
                    WHERE t.room_id = i.room_id AND t.id = i.target_id AND t.entry = 'message' AND t.deleted_at IS NULL
                ), 'no_message')
                WHEN i.parent_id IS NOT NULL AND (
                    SELECT p.seq FROM messages p
                    WHERE p.room_id = i.room_id AND p.id = i.parent_id AND p.entry = 'message' AND p.deleted_at IS NULL
                ) IS NULL THEN 'no_parent'
                ELSE 'stored'
            END AS verdict
        FROM item i LEFT JOIN rooms r ON r.id = i.room_id
        LEFT JOIN LATERAL (
            SELECT room_permissions(r.id, i.author_id) AS permissions WHERE r.guild_id IS NOT NULL
            UNION ALL
            SELECT CASE WHEN m.role = 'viewer' THEN 1 ELSE 3 END FROM room_members m
            WHERE r.is_private AND r.guild_id IS NULL AND i.as_member
                AND m.room_id = i.room_id AND m.actor_id = i.author_id
        ) granted ON true
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
        UPDATE messages m SET
            updated_at = e.at,
            deleted_at = CASE WHEN e.entry = 'delete' THEN e.at END,
            edited_at = CASE WHEN e.entry = 'edit' THEN e.at ELSE m.edited_at END,
            body = CASE WHEN e.entry = 'edit' THEN e.body ELSE m.body END,
            signature = CASE WHEN e.entry = 'edit' THEN e.signature ELSE m.signature END
        FROM entry e
        WHERE e.answer = 'stored' AND e.target_id IS NOT NULL AND m.room_id = e.room_id AND m.id = e.target_id
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
CREATE OR REPLACE FUNCTION message_log_append(
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
DROP TABLE message_attachments;
DROP TABLE message_read_receipts;
-- Channels become private rooms that only their own members can enter; nothing that was said is lost.
UPDATE rooms SET kind = 'room', guild_id = NULL, members_only = false WHERE guild_id IS NOT NULL;
DROP INDEX ix_rooms_deleted_at;
DROP INDEX ix_rooms_guild_id;
ALTER TABLE rooms
    DROP CONSTRAINT fk_rooms_guild_id_guilds,
    DROP CONSTRAINT ck_rooms_only_channels_are_members_only,
    DROP CONSTRAINT ck_rooms_channels_have_a_guild,
    DROP CONSTRAINT ck_rooms_only_plain_rooms_are_public,
    ADD CONSTRAINT ck_rooms_dms_are_private CHECK (is_private OR kind NOT IN ('dm', 'group_dm')),
    DROP COLUMN members_only;
DROP FUNCTION guild_rank(uuid, uuid);
DROP FUNCTION room_permissions(uuid, uuid);
DROP FUNCTION guild_permissions(uuid, uuid);
DROP FUNCTION actor_is_active(uuid);
DROP INDEX ix_room_members_actor_id;
CREATE INDEX ix_room_members_actor_id ON room_members (actor_id);
DROP TRIGGER leave_guilds ON actors;
DROP FUNCTION leave_guilds();
DROP TABLE member_roles;
DROP TABLE roles;
DROP TABLE guild_bans;
DROP TABLE guild_members;
DROP TABLE guilds;
DROP FUNCTION found_guild();
"""


def upgrade() -> None:
    run_script(UPGRADE)


def downgrade() -> None:
    run_script(DOWNGRADE)
