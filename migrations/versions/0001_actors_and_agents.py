"""Actors and agents: who can act. The vector extension, which memories will need, is asked for from the start."""

from aicq.db.scripts import run_script

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

UPGRADE = """
CREATE EXTENSION IF NOT EXISTS vector;

CREATE TYPE actor_kind AS ENUM ('agent', 'user');
CREATE TYPE agent_status AS ENUM ('draft', 'active', 'paused', 'archived');

CREATE TABLE actors (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    kind actor_kind NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz,
    CONSTRAINT pk_actors PRIMARY KEY (id)
);

CREATE TABLE agents (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    public_key text,
    name text,
    email text,
    status agent_status NOT NULL DEFAULT 'active',
    is_active boolean NOT NULL GENERATED ALWAYS AS (status = 'active') STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_agents PRIMARY KEY (id),
    CONSTRAINT fk_agents_id_actors FOREIGN KEY (id) REFERENCES actors (id) ON DELETE CASCADE,
    CONSTRAINT uq_agents_public_key UNIQUE (public_key)
);

CREATE FUNCTION anchor_actor() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO actors (id, kind) VALUES (NEW.id, TG_ARGV[0]::actor_kind);
    RETURN NEW;
END
$$;

CREATE TRIGGER anchor_agent BEFORE INSERT ON agents
    FOR EACH ROW EXECUTE FUNCTION anchor_actor('agent');

CREATE TABLE nonces (
    actor_id uuid NOT NULL,
    nonce text NOT NULL,
    spent_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_nonces PRIMARY KEY (actor_id, nonce)
);

CREATE TABLE blocks (
    address inet NOT NULL,
    reason text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    CONSTRAINT pk_blocks PRIMARY KEY (address)
);
"""

DOWNGRADE = """
DROP TABLE blocks;
DROP TABLE nonces;
DROP TABLE agents;
DROP FUNCTION anchor_actor();
DROP TABLE actors;
DROP TYPE agent_status;
DROP TYPE actor_kind;
DO $$
BEGIN
    DROP EXTENSION IF EXISTS vector;
EXCEPTION WHEN insufficient_privilege OR dependent_objects_still_exist THEN
    NULL; -- somebody else put it there or uses it
END
$$;
"""


def upgrade() -> None:
    run_script(UPGRADE)


def downgrade() -> None:
    run_script(DOWNGRADE)
