"""The audit log, which nothing rewrites."""

from aicq.db.scripts import run_script

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

UPGRADE = """
-- No foreign keys: a row outlives all it tells of, and no delete elsewhere may change it. `seq` is the order in which
-- rows were written. Transactions commit in another; `xid` tells who reads in order how far no row can come any more.
CREATE TABLE audit_logs (
    seq bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    action text NOT NULL,
    acted_as text NOT NULL,
    actor_id uuid,
    resource_type text NOT NULL,
    resource_id text NOT NULL,
    old_values jsonb,
    new_values jsonb,
    ip_address inet,
    user_agent text,
    request_id text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint,
    is_immutable boolean NOT NULL DEFAULT true,
    CONSTRAINT pk_audit_logs PRIMARY KEY (seq),
    CONSTRAINT uq_audit_logs_id UNIQUE (id),
    CONSTRAINT ck_audit_logs_acted_as CHECK (acted_as IN ('agent', 'user', 'admin', 'system')),
    CONSTRAINT ck_audit_logs_is_immutable CHECK (is_immutable)
);

-- /admin/audit_logs: what an actor has done.
CREATE INDEX ix_audit_logs_actor_id_seq ON audit_logs (actor_id, seq) WHERE actor_id IS NOT NULL;
-- /admin/audit_logs: all of one kind.
CREATE INDEX ix_audit_logs_action_seq ON audit_logs (action, seq);
-- /admin/audit_logs: what was done to a thing, or to all things of a table.
CREATE INDEX ix_audit_logs_resource_type_resource_id_seq ON audit_logs (resource_type, resource_id, seq);
-- /admin/audit_logs: what was done in a period.
CREATE INDEX ix_audit_logs_created_at ON audit_logs (created_at);

CREATE FUNCTION refuse_to_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'object_not_in_prerequisite_state';
END
$$;

-- For each statement, not each row: TRUNCATE has no rows, and a statement that would touch none is refused as well.
CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite();
-- Also in sessions that apply a replica's changes, or say that they do.
ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER append_only;
"""

DOWNGRADE = """
DROP TABLE audit_logs;
DROP FUNCTION refuse_to_rewrite();
"""


def upgrade() -> None:
    run_script(UPGRADE)


def downgrade() -> None:
    run_script(DOWNGRADE)
