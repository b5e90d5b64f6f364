"""Users, their sessions and friendships, teams, and the rest of agents."""

from aicq.db.scripts import run_script

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

UPGRADE = r"""
CREATE TYPE platform_role AS ENUM ('admin', 'manager', 'user', 'service');
CREATE TYPE user_status AS ENUM ('online', 'away', 'busy', 'offline');
CREATE TYPE friendship_status AS ENUM ('pending', 'accepted', 'blocked');

CREATE TABLE users (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    username text NOT NULL,
    email text,
    password_hash text,
    display_name text,
    avatar_url text,
    status user_status NOT NULL DEFAULT 'offline',
    is_online boolean NOT NULL GENERATED ALWAYS AS (status <> 'offline') STORED,
    last_seen_at timestamptz,
    role platform_role NOT NULL DEFAULT 'user',
    mfa_secret text,
    github_id bigint,
    github_username text,
    preferences jsonb NOT NULL DEFAULT '{}',
    metadata jsonb NOT NULL DEFAULT '{}',
    is_active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_users PRIMARY KEY (id),
    CONSTRAINT fk_users_id_actors FOREIGN KEY (id) REFERENCES actors (id) ON DELETE CASCADE,
    CONSTRAINT uq_users_github_id UNIQUE (github_id),
    CONSTRAINT ck_users_username CHECK (username ~ '^[A-Za-z0-9_][A-Za-z0-9._-]{0,63}$'),
    CONSTRAINT ck_users_email CHECK (
        email ~ '^[^@[:space:][:cntrl:]]+@[^@[:space:][:cntrl:]]+\.[^@.[:space:][:cntrl:]]+$'
        AND email !~ '\.\.' AND length(email) <= 254
    ),
    CONSTRAINT ck_users_email_of_all_but_services CHECK (email IS NOT NULL OR role = 'service'),
    CONSTRAINT ck_users_password_hash CHECK (
        password_hash ~ '^\$2[aby]\$(1[2-9]|2[0-9]|3[01])\$[./A-Za-z0-9]{53}$'
    ),
    CONSTRAINT ck_users_display_name CHECK (length(display_name) BETWEEN 1 AND 100),
    CONSTRAINT ck_users_avatar_url CHECK (
        avatar_url ~ '^https?://[^[:space:][:cntrl:]]+$' AND length(avatar_url) <= 2048
    ),
    CONSTRAINT ck_users_preferences CHECK (jsonb_typeof(preferences) = 'object'),
    CONSTRAINT ck_users_metadata CHECK (jsonb_typeof(metadata) = 'object')
);
-- UserRepository.find_by_email; one account an address, however it is spelled.
CREATE UNIQUE INDEX uq_users_lower_email ON users (lower(email));
-- UserRepository.find_by_username.
CREATE UNIQUE INDEX uq_users_lower_username ON users (lower(username));
-- UserRepository.find_by_github_username.
CREATE UNIQUE INDEX uq_users_lower_github_username ON users (lower(github_username));
-- UserRepository.list_online: who was seen last comes first.
CREATE INDEX ix_users_online ON users (last_seen_at DESC NULLS LAST, id) WHERE is_online AND is_active;

CREATE TABLE sessions (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id uuid NOT NULL,
    token_hash text NOT NULL,
    user_agent text,
    ip inet,
    created_at timestamptz NOT NULL DEFAULT now(),
    refreshed_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    revoked_because text,
    CONSTRAINT pk_sessions PRIMARY KEY (id),
    CONSTRAINT fk_sessions_user_id_users FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE,
    CONSTRAINT uq_sessions_token_hash UNIQUE (token_hash),
    CONSTRAINT ck_sessions_token_hash CHECK (token_hash ~ '^[0-9a-f]{64}$'),
    CONSTRAINT ck_sessions_revoked_because CHECK (
        revoked_because IN ('logged out', 'revoked', 'token used twice', 'password changed')
        AND (revoked_at IS NULL) = (revoked_because IS NULL)
    )
);
-- SessionRepository.list_live and revoke_all; the foreign key's CASCADE.
CREATE INDEX ix_sessions_user_id ON sessions (user_id);
-- SessionRepository.drop_dead.
CREATE INDEX ix_sessions_expires_at ON sessions (expires_at);

CREATE TABLE friendships (
    actor_id uuid NOT NULL,
    friend_id uuid NOT NULL,
    status friendship_status NOT NULL DEFAULT 'pending',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_friendships PRIMARY KEY (actor_id, friend_id),
    CONSTRAINT fk_friendships_actor_id_actors FOREIGN KEY (actor_id) REFERENCES actors (id) ON DELETE CASCADE,
    CONSTRAINT fk_friendships_friend_id_actors FOREIGN KEY (friend_id) REFERENCES actors (id) ON DELETE CASCADE,
    CONSTRAINT ck_friendships_not_with_oneself CHECK (actor_id <> friend_id)
);
-- FriendshipRepository.list_requests; the foreign key's CASCADE.
CREATE INDEX ix_friendships_friend_id ON friendships (friend_id, status);

CREATE TABLE teams (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    name text NOT NULL,
    slug text NOT NULL,
    owner_id uuid NOT NULL,
    settings jsonb NOT NULL DEFAULT '{}',
    shared_skill_names text[] NOT NULL DEFAULT '{}',
    webhook_url text,
    webhook_secret text,
    conversation_retention_days integer,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_teams PRIMARY KEY (id),
    CONSTRAINT fk_teams_owner_id_actors FOREIGN KEY (owner_id) REFERENCES actors (id) ON DELETE RESTRICT,
    CONSTRAINT uq_teams_slug UNIQUE (slug),
    CONSTRAINT ck_teams_name CHECK (length(name) BETWEEN 1 AND 100 AND name = btrim(name)),
    CONSTRAINT ck_teams_slug CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 63),
    CONSTRAINT ck_teams_settings CHECK (jsonb_typeof(settings) = 'object'),
    CONSTRAINT ck_teams_webhook_url CHECK (
        webhook_url ~ '^https?://[^[:space:][:cntrl:]]+$' AND length(webhook_url) <= 2048
    ),
    CONSTRAINT ck_teams_conversation_retention_days CHECK (conversation_retention_days >= 1)
);
-- TeamRepository.list_owned; the foreign key's RESTRICT.
CREATE INDEX ix_teams_owner_id ON teams (owner_id);

CREATE TABLE team_memberships (
    team_id uuid NOT NULL,
    actor_id uuid NOT NULL,
    role user_role NOT NULL DEFAULT 'member',
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_team_memberships PRIMARY KEY (team_id, actor_id),
    CONSTRAINT fk_team_memberships_team_id_teams FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE,
    CONSTRAINT fk_team_memberships_actor_id_actors FOREIGN KEY (actor_id) REFERENCES actors (id) ON DELETE CASCADE
);
-- TeamRepository.list_of: the teams of an actor; the foreign key's CASCADE.
CREATE INDEX ix_team_memberships_actor_id ON team_memberships (actor_id);

ALTER TABLE agents
    ADD COLUMN team_id uuid,
    ADD COLUMN slug text,
    ADD COLUMN type text,
    ADD COLUMN tagline text,
    ADD COLUMN avatar_emoji text,
    ADD COLUMN model_provider text,
    ADD COLUMN model_name text,
    ADD COLUMN capabilities jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN personality jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN shared_skill_names text[] NOT NULL DEFAULT '{}',
    ADD COLUMN custom_skill_names text[] NOT NULL DEFAULT '{}',
    ADD COLUMN disabled_skill_names text[] NOT NULL DEFAULT '{}',
    ADD COLUMN model_config jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN memory_config jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN boundaries jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN success_rate double precision,
    ADD COLUMN avg_execution_time_ms double precision,
    ADD COLUMN tags text[] NOT NULL DEFAULT '{}',
    ADD COLUMN is_experimental boolean NOT NULL DEFAULT false,
    ADD COLUMN created_by uuid,
    ADD CONSTRAINT fk_agents_team_id_teams FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE,
    ADD CONSTRAINT fk_agents_created_by_actors FOREIGN KEY (created_by) REFERENCES actors (id) ON DELETE SET NULL,
    ADD CONSTRAINT ck_agents_slug CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 63),
    ADD CONSTRAINT ck_agents_type CHECK (length(type) BETWEEN 1 AND 63 AND type = btrim(type)),
    ADD CONSTRAINT ck_agents_typed_have_a_name CHECK (type IS NULL OR name IS NOT NULL),
    ADD CONSTRAINT ck_agents_capabilities CHECK (jsonb_typeof(capabilities) IN ('object', 'array')),
    ADD CONSTRAINT ck_agents_personality CHECK (jsonb_typeof(personality) = 'object'),
    ADD CONSTRAINT ck_agents_model_config CHECK (jsonb_typeof(model_config) = 'object'),
    ADD CONSTRAINT ck_agents_memory_config CHECK (jsonb_typeof(memory_config) = 'object'),
    ADD CONSTRAINT ck_agents_boundaries CHECK (jsonb_typeof(boundaries) = 'object'),
    ADD CONSTRAINT ck_agents_success_rate CHECK (success_rate BETWEEN 0 AND 1),
    ADD CONSTRAINT ck_agents_avg_execution_time_ms CHECK (
        avg_execution_time_ms >= 0 AND avg_execution_time_ms < 'Infinity'
    );
-- AgentRepository.find_by_slug; an archived agent frees its slug.
CREATE UNIQUE INDEX uq_agents_team_id_slug ON agents (team_id, slug) WHERE status <> 'archived';
-- AgentRepository.find_by_name and list_by_type; agents of the protocol, which have no type, may share a name.
CREATE UNIQUE INDEX uq_agents_type_name ON agents (type, name) WHERE type IS NOT NULL;
-- AgentRepository.list_of_team; the foreign key's CASCADE.
CREATE INDEX ix_agents_team_id ON agents (team_id, status) WHERE team_id IS NOT NULL;
-- AgentRepository.list_by_model.
CREATE INDEX ix_agents_model_provider ON agents (model_provider, model_name) WHERE model_provider IS NOT NULL;
-- AgentRepository.list_tagged.
CREATE INDEX ix_agents_tags ON agents USING gin (tags);
-- The foreign key's SET NULL.
CREATE INDEX ix_agents_created_by ON agents (created_by) WHERE created_by IS NOT NULL;

CREATE TRIGGER anchor_user BEFORE INSERT ON users
    FOR EACH ROW EXECUTE FUNCTION anchor_actor('user');

-- The profile is gone, the anchor stays: what was written goes on pointing at it. What is the actor's alone goes too.
-- The lock lets nobody make a deleted actor the owner of a team meanwhile.
CREATE FUNCTION bury_actor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM FROM actors WHERE id = OLD.id FOR UPDATE;
    IF EXISTS (SELECT FROM teams WHERE owner_id = OLD.id) THEN
        RAISE foreign_key_violation USING
            MESSAGE = 'the actor owns a team', TABLE = 'teams', CONSTRAINT = 'fk_teams_owner_id_actors';
    END IF;
    UPDATE actors SET deleted_at = now() WHERE id = OLD.id;
    DELETE FROM friendships WHERE actor_id = OLD.id OR friend_id = OLD.id;
    DELETE FROM team_memberships WHERE actor_id = OLD.id;
    RETURN NULL;
END
$$;

CREATE TRIGGER bury_user AFTER DELETE ON users FOR EACH ROW EXECUTE FUNCTION bury_actor();
CREATE TRIGGER bury_agent AFTER DELETE ON agents FOR EACH ROW EXECUTE FUNCTION bury_actor();

-- Tells when a row was last changed; an update that changes nothing leaves it alone. The arguments are columns that do
-- not count: those that are kept without being anybody's change, and generated ones, which have no value before an
-- update. Without arguments the trigger itself compares: WHEN (OLD.* IS DISTINCT FROM NEW.*).
CREATE FUNCTION trigger_set_updated_at() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_NARGS = 0 OR to_jsonb(NEW) - TG_ARGV::text[] IS DISTINCT FROM to_jsonb(OLD) - TG_ARGV::text[] THEN
        NEW.updated_at := now();
    END IF;
    RETURN NEW;
END
$$;

CREATE TRIGGER set_updated_at_user BEFORE UPDATE ON users
    FOR EACH ROW EXECUTE FUNCTION trigger_set_updated_at('is_online', 'last_seen_at');
CREATE TRIGGER set_updated_at_agent BEFORE UPDATE ON agents
    FOR EACH ROW EXECUTE FUNCTION trigger_set_updated_at('is_active', 'success_rate', 'avg_execution_time_ms');
CREATE TRIGGER set_updated_at_team BEFORE UPDATE ON teams
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION trigger_set_updated_at();
CREATE TRIGGER set_updated_at_friendship BEFORE UPDATE ON friendships
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION trigger_set_updated_at();
"""

DOWNGRADE = """
DROP TRIGGER set_updated_at_agent ON agents;
DROP TRIGGER bury_agent ON agents;
ALTER TABLE agents
    DROP COLUMN team_id,
    DROP COLUMN slug,
    DROP COLUMN type,
    DROP COLUMN tagline,
    DROP COLUMN avatar_emoji,
    DROP COLUMN model_provider,
    DROP COLUMN model_name,
    DROP COLUMN capabilities,
    DROP COLUMN personality,
    DROP COLUMN shared_skill_names,
    DROP COLUMN custom_skill_names,
    DROP COLUMN disabled_skill_names,
    DROP COLUMN model_config,
    DROP COLUMN memory_config,
    DROP COLUMN boundaries,
    DROP COLUMN success_rate,
    DROP COLUMN avg_execution_time_ms,
    DROP COLUMN tags,
    DROP COLUMN is_experimental,
    DROP COLUMN created_by;
DROP TABLE team_memberships;
DROP TABLE teams;
DROP TABLE friendships;
DROP TABLE sessions;
DROP TABLE users;
DROP FUNCTION trigger_set_updated_at();
DROP FUNCTION bury_actor();
UPDATE actors SET deleted_at = now() WHERE kind = 'user' AND deleted_at IS NULL;
DROP TYPE friendship_status;
DROP TYPE user_status;
DROP TYPE platform_role;
"""


def upgrade() -> None:
    run_script(UPGRADE)


def downgrade() -> None:
    run_script(DOWNGRADE)
