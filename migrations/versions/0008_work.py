"""Projects, tasks, evidence, executions and the feed."""

from aicq.db.scripts import run_script

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TABLE projects (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    slug text NOT NULL,
    name text NOT NULL,
    description text,
    repository_url text,
    owner_id uuid,
    team_id uuid,
    status text NOT NULL DEFAULT 'active',
    technology_stack jsonb NOT NULL DEFAULT '[]',
    pr_merge_rate numeric(5, 4),
    test_coverage_percent numeric(5, 2),
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_projects PRIMARY KEY (id),
    CONSTRAINT uq_projects_slug UNIQUE (slug),
    CONSTRAINT fk_projects_owner_id_actors FOREIGN KEY (owner_id) REFERENCES actors (id) ON DELETE SET NULL,
    CONSTRAINT fk_projects_team_id_teams FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE,
    CONSTRAINT ck_projects_slug CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 63),
    CONSTRAINT ck_projects_name CHECK (name <> ''),
    CONSTRAINT ck_projects_status CHECK (status IN ('active', 'paused', 'completed', 'archived')),
    CONSTRAINT ck_projects_technology_stack CHECK (jsonb_typeof(technology_stack) = 'array'),
    CONSTRAINT ck_projects_metadata CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT ck_projects_pr_merge_rate CHECK (pr_merge_rate BETWEEN 0 AND 1),
    CONSTRAINT ck_projects_test_coverage_percent CHECK (test_coverage_percent BETWEEN 0 AND 100)
);
-- ProjectRepository.page of an owner, and the foreign key's SET NULL.
CREATE INDEX ix_projects_owner_id ON projects (owner_id, id);
-- ProjectRepository.page of a team, and the foreign key's CASCADE.
CREATE INDEX ix_projects_team_id ON projects (team_id, id) WHERE team_id IS NOT NULL;
-- ProjectRepository.page in a status.
CREATE INDEX ix_projects_status ON projects (status, id);
-- ProjectRepository.find_by_repository.
CREATE INDEX ix_projects_repository_url ON projects (repository_url) WHERE repository_url IS NOT NULL;

CREATE TABLE tasks (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    code text NOT NULL GENERATED ALWAYS AS ('TASK-'::text || number::text) STORED,
    project_id uuid NOT NULL,
    title text NOT NULL,
    description text,
    type text NOT NULL DEFAULT 'task',
    status text NOT NULL DEFAULT 'open',
    priority text NOT NULL DEFAULT 'medium',
    labels jsonb NOT NULL DEFAULT '[]',
    created_by uuid,
    assignee_id uuid,
    github_issue_number integer,
    github_pr_number integer,
    ai_analysis jsonb,
    ai_suggestions jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    closed_at timestamptz,
    CONSTRAINT pk_tasks PRIMARY KEY (id),
    CONSTRAINT uq_tasks_code UNIQUE (code),
    CONSTRAINT fk_tasks_project_id_projects FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_tasks_created_by_actors FOREIGN KEY (created_by) REFERENCES actors (id) ON DELETE SET NULL,
    CONSTRAINT fk_tasks_assignee_id_actors FOREIGN KEY (assignee_id) REFERENCES actors (id) ON DELETE SET NULL,
    CONSTRAINT ck_tasks_title CHECK (title <> ''),
    CONSTRAINT ck_tasks_type
        CHECK (type IN ('bug', 'feature', 'refactor', 'test', 'documentation', 'task', 'chore')),
    CONSTRAINT ck_tasks_status
        CHECK (status IN ('open', 'in_progress', 'in_review', 'blocked', 'closed', 'draft')),
    CONSTRAINT ck_tasks_priority CHECK (priority IN ('critical', 'high', 'medium', 'low')),
    CONSTRAINT ck_tasks_labels CHECK (jsonb_typeof(labels) = 'array'),
    CONSTRAINT ck_tasks_github_issue_number CHECK (github_issue_number > 0),
    CONSTRAINT ck_tasks_github_pr_number CHECK (github_pr_number > 0),
    CONSTRAINT ck_tasks_ai_analysis CHECK (jsonb_typeof(ai_analysis) = 'object'),
    CONSTRAINT ck_tasks_ai_suggestions CHECK (jsonb_typeof(ai_suggestions) = 'object'),
    CONSTRAINT ck_tasks_closed_has_its_time CHECK ((status = 'closed') = (closed_at IS NOT NULL))
);
-- TaskRepository.page of a project, and the foreign key's CASCADE.
CREATE INDEX ix_tasks_project_id ON tasks (project_id, id);
-- TaskRepository.page in a status, and ProjectRepository.progress.
CREATE INDEX ix_tasks_project_id_status ON tasks (project_id, status, id);
-- TaskRepository.page in a status, over all projects.
CREATE INDEX ix_tasks_status ON tasks (status, id);
-- TaskRepository.page of a priority.
CREATE INDEX ix_tasks_priority ON tasks (priority, id);
-- TaskRepository.page of a type.
CREATE INDEX ix_tasks_type ON tasks (type, id);
-- TaskRepository.page of an assignee, and the foreign key's SET NULL.
CREATE INDEX ix_tasks_assignee_id ON tasks (assignee_id, id) WHERE assignee_id IS NOT NULL;
-- The foreign key's SET NULL.
CREATE INDEX ix_tasks_created_by ON tasks (created_by) WHERE created_by IS NOT NULL;
-- TaskRepository.claim_next: the most pressing first, the oldest of those.
CREATE INDEX ix_tasks_claimable
    ON tasks (project_id, array_position(ARRAY['critical', 'high', 'medium', 'low'], priority), id)
    WHERE status = 'open' AND assignee_id IS NULL;
-- TaskRepository.page of some labels.
CREATE INDEX ix_tasks_labels ON tasks USING gin (labels jsonb_path_ops);
-- TaskRepository.find_by_issue; an issue is one task.
CREATE UNIQUE INDEX uq_tasks_project_id_github_issue_number ON tasks (project_id, github_issue_number)
    WHERE github_issue_number IS NOT NULL;
-- TaskRepository.find_by_pull_request; one may close several tasks.
CREATE INDEX ix_tasks_github_pr_number ON tasks (project_id, github_pr_number) WHERE github_pr_number IS NOT NULL;

CREATE TABLE task_comments (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    task_id uuid NOT NULL,
    author_id uuid NOT NULL,
    body text NOT NULL,
    github_comment_id bigint,
    is_ai_generated boolean NOT NULL DEFAULT false,
    ai_metadata jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_task_comments PRIMARY KEY (id),
    CONSTRAINT fk_task_comments_task_id_tasks FOREIGN KEY (task_id) REFERENCES tasks (id) ON DELETE CASCADE,
    CONSTRAINT fk_task_comments_author_id_actors FOREIGN KEY (author_id) REFERENCES actors (id) ON DELETE RESTRICT,
    CONSTRAINT ck_task_comments_body CHECK (body <> ''),
    CONSTRAINT ck_task_comments_github_comment_id CHECK (github_comment_id > 0),
    CONSTRAINT ck_task_comments_ai_metadata CHECK (jsonb_typeof(ai_metadata) = 'object')
);
-- CommentRepository.page of a task, and the foreign key's CASCADE.
CREATE INDEX ix_task_comments_task_id ON task_comments (task_id, id);
-- CommentRepository.page of an author, and the foreign key's RESTRICT.
CREATE INDEX ix_task_comments_author_id ON task_comments (author_id, id);
-- CommentRepository.page since a time.
CREATE INDEX ix_task_comments_created_at ON task_comments (created_at);
-- A comment is fetched from GitHub once.
CREATE UNIQUE INDEX uq_task_comments_github_comment_id ON task_comments (github_comment_id)
    WHERE github_comment_id IS NOT NULL;

CREATE TABLE evidence (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    number bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    code text NOT NULL GENERATED ALWAYS AS ('EV-'::text || number::text) STORED,
    project_id uuid,
    task_id uuid,
    author_id uuid NOT NULL,
    claim text NOT NULL,
    content jsonb NOT NULL DEFAULT '{}',
    source_type text NOT NULL,
    source_url text,
    tags jsonb NOT NULL DEFAULT '[]',
    claimed_score numeric(4, 3),
    computed_score numeric(4, 3),
    scoring_method text,
    scored_by uuid,
    verified_by uuid,
    verified_at timestamptz,
    is_verified boolean NOT NULL GENERATED ALWAYS AS (verified_at IS NOT NULL) STORED,
    credibility_score numeric(4, 3) NOT NULL GENERATED ALWAYS AS (
        CASE
            WHEN verified_at IS NOT NULL THEN coalesce(computed_score, claimed_score, 0)
            ELSE least(coalesce(computed_score, claimed_score, 0), 0.5)
        END
    ) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_evidence PRIMARY KEY (id),
    CONSTRAINT uq_evidence_code UNIQUE (code),
    CONSTRAINT fk_evidence_project_id_projects FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE SET NULL,
    CONSTRAINT fk_evidence_task_id_tasks FOREIGN KEY (task_id) REFERENCES tasks (id) ON DELETE SET NULL,
    CONSTRAINT fk_evidence_author_id_actors FOREIGN KEY (author_id) REFERENCES actors (id) ON DELETE RESTRICT,
    CONSTRAINT fk_evidence_scored_by_actors FOREIGN KEY (scored_by) REFERENCES actors (id) ON DELETE SET NULL,
    CONSTRAINT fk_evidence_verified_by_actors FOREIGN KEY (verified_by) REFERENCES actors (id) ON DELETE SET NULL,
    CONSTRAINT ck_evidence_claim CHECK (claim <> ''),
    CONSTRAINT ck_evidence_source_type CHECK (source_type ~ '^[a-z][a-z0-9_]{0,49}$'),
    CONSTRAINT ck_evidence_content CHECK (jsonb_typeof(content) = 'object'),
    CONSTRAINT ck_evidence_tags CHECK (jsonb_typeof(tags) = 'array'),
    CONSTRAINT ck_evidence_claimed_score CHECK (claimed_score BETWEEN 0 AND 1),
    CONSTRAINT ck_evidence_computed_score CHECK (computed_score BETWEEN 0 AND 1),
    CONSTRAINT ck_evidence_computed_has_its_method CHECK ((computed_score IS NULL) = (scoring_method IS NULL)),
    CONSTRAINT ck_evidence_nobody_verifies_their_own CHECK (verified_by <> author_id),
    CONSTRAINT ck_evidence_verifier_has_their_time CHECK (verified_by IS NULL OR verified_at IS NOT NULL)
);
-- EvidenceRepository.page of a task, and the foreign key's SET NULL.
CREATE INDEX ix_evidence_task_id ON evidence (task_id, id) WHERE task_id IS NOT NULL;
-- EvidenceRepository.page of a project, and the foreign key's SET NULL.
CREATE INDEX ix_evidence_project_id ON evidence (project_id, id) WHERE project_id IS NOT NULL;
-- EvidenceRepository.page of a kind of source.
CREATE INDEX ix_evidence_source_type ON evidence (source_type, id);
-- EvidenceRepository.most_credible.
CREATE INDEX ix_evidence_credibility_score ON evidence (credibility_score DESC, id);
-- EvidenceRepository.page of what nobody has verified.
CREATE INDEX ix_evidence_unverified ON evidence (id) WHERE verified_at IS NULL;
-- EvidenceRepository.page of some tags.
CREATE INDEX ix_evidence_tags ON evidence USING gin (tags jsonb_path_ops);
-- The foreign key's RESTRICT.
CREATE INDEX ix_evidence_author_id ON evidence (author_id);
-- The foreign keys' SET NULL.
CREATE INDEX ix_evidence_scored_by ON evidence (scored_by) WHERE scored_by IS NOT NULL;
CREATE INDEX ix_evidence_verified_by ON evidence (verified_by) WHERE verified_by IS NOT NULL;

CREATE TABLE evidence_links (
    low_id uuid NOT NULL,
    high_id uuid NOT NULL,
    kind text NOT NULL,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_evidence_links PRIMARY KEY (low_id, high_id),
    CONSTRAINT fk_evidence_links_low_id_evidence FOREIGN KEY (low_id) REFERENCES evidence (id) ON DELETE CASCADE,
    CONSTRAINT fk_evidence_links_high_id_evidence FOREIGN KEY (high_id) REFERENCES evidence (id) ON DELETE CASCADE,
    CONSTRAINT fk_evidence_links_created_by_actors FOREIGN KEY (created_by) REFERENCES actors (id) ON DELETE SET NULL,
    CONSTRAINT ck_evidence_links_kind CHECK (kind IN ('related', 'contradicting')),
    CONSTRAINT ck_evidence_links_a_pair_stands_once CHECK (low_id < high_id)
);
-- EvidenceRepository.links from the other end, and the foreign key's CASCADE.
CREATE INDEX ix_evidence_links_high_id ON evidence_links (high_id);
-- The foreign key's SET NULL.
CREATE INDEX ix_evidence_links_created_by ON evidence_links (created_by) WHERE created_by IS NOT NULL;

CREATE TABLE task_attachments (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    task_id uuid NOT NULL,
    uploaded_by uuid NOT NULL,
    file_name text NOT NULL,
    content_type text NOT NULL DEFAULT 'application/octet-stream',
    byte_size bigint NOT NULL,
    storage_path text NOT NULL,
    evidence_id uuid,
    is_evidence boolean NOT NULL GENERATED ALWAYS AS (evidence_id IS NOT NULL) STORED,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_task_attachments PRIMARY KEY (id),
    CONSTRAINT fk_task_attachments_task_id_tasks FOREIGN KEY (task_id) REFERENCES tasks (id) ON DELETE CASCADE,
    CONSTRAINT fk_task_attachments_uploaded_by_actors
        FOREIGN KEY (uploaded_by) REFERENCES actors (id) ON DELETE RESTRICT,
    CONSTRAINT fk_task_attachments_evidence_id_evidence
        FOREIGN KEY (evidence_id) REFERENCES evidence (id) ON DELETE SET NULL,
    CONSTRAINT ck_task_attachments_file_name CHECK (file_name <> ''),
    CONSTRAINT ck_task_attachments_storage_path CHECK (storage_path <> ''),
    CONSTRAINT ck_task_attachments_byte_size CHECK (byte_size >= 0)
);
-- AttachmentRepository.page of a task, and the foreign key's CASCADE.
CREATE INDEX ix_task_attachments_task_id ON task_attachments (task_id, id);
-- AttachmentRepository.of_evidence, and the foreign key's SET NULL.
CREATE INDEX ix_task_attachments_evidence_id ON task_attachments (evidence_id) WHERE evidence_id IS NOT NULL;
-- The foreign key's RESTRICT.
CREATE INDEX ix_task_attachments_uploaded_by ON task_attachments (uploaded_by);

CREATE TABLE agent_executions (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    agent_id uuid NOT NULL,
    project_id uuid,
    task_id uuid,
    evidence_id uuid,
    status text NOT NULL DEFAULT 'pending',
    idempotency_key text,
    model_provider text,
    model_name text,
    input jsonb,
    result jsonb,
    error text,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_write_tokens bigint,
    reasoning_tokens bigint,
    cost_usd numeric(18, 9),
    cost_source text,
    price jsonb,
    created_at timestamptz NOT NULL DEFAULT now(),
    started_at timestamptz,
    finished_at timestamptz,
    duration_ms bigint GENERATED ALWAYS AS (
        (extract(epoch FROM finished_at - started_at) * 1000)::bigint
    ) STORED,
    CONSTRAINT pk_agent_executions PRIMARY KEY (id),
    CONSTRAINT fk_agent_executions_agent_id_actors FOREIGN KEY (agent_id) REFERENCES actors (id) ON DELETE RESTRICT,
    CONSTRAINT fk_agent_executions_project_id_projects
        FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE SET NULL,
    CONSTRAINT fk_agent_executions_task_id_tasks FOREIGN KEY (task_id) REFERENCES tasks (id) ON DELETE SET NULL,
    CONSTRAINT fk_agent_executions_evidence_id_evidence
        FOREIGN KEY (evidence_id) REFERENCES evidence (id) ON DELETE SET NULL,
    CONSTRAINT ck_agent_executions_status
        CHECK (status IN ('pending', 'running', 'success', 'failure', 'timeout')),
    CONSTRAINT ck_agent_executions_pending_has_not_started CHECK (status <> 'pending' OR started_at IS NULL),
    CONSTRAINT ck_agent_executions_running_has_started CHECK (status <> 'running' OR started_at IS NOT NULL),
    CONSTRAINT ck_agent_executions_the_finished_have_their_time
        CHECK ((status IN ('success', 'failure', 'timeout')) = (finished_at IS NOT NULL)),
    CONSTRAINT ck_agent_executions_finish_follows_start CHECK (finished_at >= started_at),
    CONSTRAINT ck_agent_executions_input CHECK (jsonb_typeof(input) = 'object'),
    CONSTRAINT ck_agent_executions_result CHECK (jsonb_typeof(result) = 'object'),
    CONSTRAINT ck_agent_executions_price CHECK (jsonb_typeof(price) = 'object'),
    CONSTRAINT ck_agent_executions_input_tokens CHECK (input_tokens >= 0),
    CONSTRAINT ck_agent_executions_output_tokens CHECK (output_tokens >= 0),
    CONSTRAINT ck_agent_executions_cache_read_tokens CHECK (cache_read_tokens >= 0),
    CONSTRAINT ck_agent_executions_cache_write_tokens CHECK (cache_write_tokens >= 0),
    CONSTRAINT ck_agent_executions_reasoning_tokens CHECK (reasoning_tokens >= 0),
    -- NaN is above every number, so it is the upper bound that keeps it out.
    CONSTRAINT ck_agent_executions_cost_usd CHECK (cost_usd BETWEEN 0 AND 999999999),
    CONSTRAINT ck_agent_executions_cost_source CHECK (cost_source IN ('reported', 'computed', 'estimated')),
    CONSTRAINT ck_agent_executions_cost_has_its_source CHECK ((cost_usd IS NULL) = (cost_source IS NULL))
);
-- ExecutionRepository.page of an agent, and the foreign key's RESTRICT.
CREATE INDEX ix_agent_executions_agent_id ON agent_executions (agent_id, id);
-- ExecutionRepository.page of a task, and the foreign key's SET NULL.
CREATE INDEX ix_agent_executions_task_id ON agent_executions (task_id, id) WHERE task_id IS NOT NULL;
-- ExecutionRepository.page of a project, and the foreign key's SET NULL.
CREATE INDEX ix_agent_executions_project_id ON agent_executions (project_id, id) WHERE project_id IS NOT NULL;
-- The foreign key's SET NULL.
CREATE INDEX ix_agent_executions_evidence_id ON agent_executions (evidence_id) WHERE evidence_id IS NOT NULL;
-- ExecutionRepository.page in a status.
CREATE INDEX ix_agent_executions_status ON agent_executions (status, id);
-- ExecutionRepository.spent_between.
CREATE INDEX ix_agent_executions_created_at ON agent_executions (created_at);
-- ExecutionRepository.start: what is asked for twice is started once.
CREATE UNIQUE INDEX uq_agent_executions_agent_id_idempotency_key ON agent_executions (agent_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- What agents' executions come to. The tally moves these with every statement that changes executions, and with them
-- the two figures that stand on agents; nothing else writes either.
CREATE TABLE execution_totals (
    agent_id uuid NOT NULL,
    executions bigint NOT NULL DEFAULT 0,
    successes bigint NOT NULL DEFAULT 0,
    failures bigint NOT NULL DEFAULT 0,
    timeouts bigint NOT NULL DEFAULT 0,
    timed bigint NOT NULL DEFAULT 0,
    duration_ms bigint NOT NULL DEFAULT 0,
    input_tokens bigint NOT NULL DEFAULT 0,
    output_tokens bigint NOT NULL DEFAULT 0,
    cost_usd numeric(24, 9) NOT NULL DEFAULT 0,
    CONSTRAINT pk_execution_totals PRIMARY KEY (agent_id),
    CONSTRAINT fk_execution_totals_agent_id_actors FOREIGN KEY (agent_id) REFERENCES actors (id) ON DELETE CASCADE
);
ALTER TABLE execution_totals SET (fillfactor = 70);

CREATE TABLE activity_feed (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    project_id uuid,
    task_id uuid,
    actor_id uuid,
    activity_type text NOT NULL,
    summary text NOT NULL,
    details jsonb NOT NULL DEFAULT '{}',
    is_public boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_activity_feed PRIMARY KEY (id),
    CONSTRAINT fk_activity_feed_project_id_projects
        FOREIGN KEY (project_id) REFERENCES projects (id) ON DELETE CASCADE,
    CONSTRAINT fk_activity_feed_task_id_tasks FOREIGN KEY (task_id) REFERENCES tasks (id) ON DELETE SET NULL,
    CONSTRAINT fk_activity_feed_actor_id_actors FOREIGN KEY (actor_id) REFERENCES actors (id) ON DELETE SET NULL,
    CONSTRAINT ck_activity_feed_activity_type CHECK (activity_type ~ '^[a-z][a-z0-9_]{0,49}$'),
    CONSTRAINT ck_activity_feed_details CHECK (jsonb_typeof(details) = 'object')
);
-- ActivityRepository.page of a project, and the foreign key's CASCADE.
CREATE INDEX ix_activity_feed_project_id ON activity_feed (project_id, id) WHERE project_id IS NOT NULL;
-- ActivityRepository.page of a task, and the foreign key's SET NULL.
CREATE INDEX ix_activity_feed_task_id ON activity_feed (task_id, id) WHERE task_id IS NOT NULL;
-- ActivityRepository.page of an actor, and the foreign key's SET NULL.
CREATE INDEX ix_activity_feed_actor_id ON activity_feed (actor_id, id) WHERE actor_id IS NOT NULL;
-- ActivityRepository.page of what everybody may read.
CREATE INDEX ix_activity_feed_public ON activity_feed (id) WHERE is_public;
-- ActivityRepository.page since a time.
CREATE INDEX ix_activity_feed_created_at ON activity_feed (created_at);

-- A row that names a task is of that task's project, whatever the writer says.
CREATE FUNCTION adopt_project_of_task() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.project_id := (SELECT t.project_id FROM tasks t WHERE t.id = NEW.task_id);
    RETURN NEW;
END
$$;

CREATE TRIGGER adopt_project_of_evidence BEFORE INSERT OR UPDATE OF task_id ON evidence
    FOR EACH ROW WHEN (NEW.task_id IS NOT NULL) EXECUTE FUNCTION adopt_project_of_task();
CREATE TRIGGER adopt_project_of_execution BEFORE INSERT OR UPDATE OF task_id ON agent_executions
    FOR EACH ROW WHEN (NEW.task_id IS NOT NULL) EXECUTE FUNCTION adopt_project_of_task();
CREATE TRIGGER adopt_project_of_activity BEFORE INSERT OR UPDATE OF task_id ON activity_feed
    FOR EACH ROW WHEN (NEW.task_id IS NOT NULL) EXECUTE FUNCTION adopt_project_of_task();

-- Adds the changed executions to their agents' totals, or takes them off: its argument is 1 or -1. Rows are taken in
-- the order of their ids, so that no two writers wait for each other.
CREATE FUNCTION tally_executions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    sign int := TG_ARGV[0]::int;
BEGIN
    INSERT INTO execution_totals AS t (
        agent_id, executions, successes, failures, timeouts, timed, duration_ms, input_tokens, output_tokens, cost_usd
    )
    SELECT c.agent_id, sign * count(*), sign * count(*) FILTER (WHERE c.status = 'success'),
        sign * count(*) FILTER (WHERE c.status = 'failure'), sign * count(*) FILTER (WHERE c.status = 'timeout'),
        sign * count(c.duration_ms), sign * coalesce(sum(c.duration_ms), 0), sign * coalesce(sum(c.input_tokens), 0),
        sign * coalesce(sum(c.output_tokens), 0), sign * coalesce(sum(c.cost_usd), 0)
    FROM changed c GROUP BY c.agent_id ORDER BY c.agent_id
    ON CONFLICT (agent_id) DO UPDATE SET
        executions = t.executions + excluded.executions, successes = t.successes + excluded.successes,
        failures = t.failures + excluded.failures, timeouts = t.timeouts + excluded.timeouts,
        timed = t.timed + excluded.timed, duration_ms = t.duration_ms + excluded.duration_ms,
        input_tokens = t.input_tokens + excluded.input_tokens,
        output_tokens = t.output_tokens + excluded.output_tokens, cost_usd = t.cost_usd + excluded.cost_usd;

    -- A statement of its own sees the totals as they are now, whoever moved them while this one waited.
    UPDATE agents a SET success_rate = f.success_rate, avg_execution_time_ms = f.avg_execution_time_ms
    FROM (
        SELECT t.agent_id, t.duration_ms::float8 / nullif(t.timed, 0) AS avg_execution_time_ms,
            t.successes::float8 / nullif(t.successes + t.failures + t.timeouts, 0) AS success_rate
        FROM execution_totals t WHERE t.agent_id IN (SELECT c.agent_id FROM changed c)
    ) f
    WHERE a.id = f.agent_id AND
        (a.success_rate, a.avg_execution_time_ms) IS DISTINCT FROM (f.success_rate, f.avg_execution_time_ms);
    RETURN NULL;
END
$$;

CREATE TRIGGER tally_inserted AFTER INSERT ON agent_executions REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION tally_executions('1');
CREATE TRIGGER tally_updated_from AFTER UPDATE ON agent_executions REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION tally_executions('-1');
CREATE TRIGGER tally_updated_to AFTER UPDATE ON agent_executions REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION tally_executions('1');
CREATE TRIGGER tally_deleted AFTER DELETE ON agent_executions REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION tally_executions('-1');

-- Nobody waits for a deleted actor: what they were at is free again, and what they ran has failed.
CREATE FUNCTION release_work() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE tasks t SET assignee_id = NULL, status = CASE t.status WHEN 'in_progress' THEN 'open' ELSE t.status END
    FROM (SELECT id FROM tasks WHERE assignee_id = NEW.id AND status <> 'closed' ORDER BY id FOR UPDATE) held
    WHERE t.id = held.id;
    UPDATE agent_executions SET status = 'failure', error = 'the agent was deleted',
        finished_at = greatest(now(), started_at)
    WHERE agent_id = NEW.id AND status IN ('pending', 'running');
    RETURN NULL;
END
$$;

CREATE TRIGGER release_work_of_the_deleted AFTER UPDATE OF deleted_at ON actors
    FOR EACH ROW WHEN (OLD.deleted_at IS NULL AND NEW.deleted_at IS NOT NULL) EXECUTE FUNCTION release_work();

CREATE TRIGGER set_updated_at_project BEFORE UPDATE ON projects
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION trigger_set_updated_at();
CREATE TRIGGER set_updated_at_task BEFORE UPDATE ON tasks
    FOR EACH ROW EXECUTE FUNCTION trigger_set_updated_at('code');
CREATE TRIGGER set_updated_at_task_comment BEFORE UPDATE ON task_comments
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION trigger_set_updated_at();
CREATE TRIGGER set_updated_at_evidence BEFORE UPDATE ON evidence
    FOR EACH ROW EXECUTE FUNCTION trigger_set_updated_at('code', 'is_verified', 'credibility_score');
"""

DOWNGRADE = """
DROP TRIGGER release_work_of_the_deleted ON actors;
DROP TABLE activity_feed;
DROP TABLE execution_totals;
DROP TABLE agent_executions;
DROP TABLE task_attachments;
DROP TABLE evidence_links;
DROP TABLE evidence;
DROP TABLE task_comments;
DROP TABLE tasks;
DROP TABLE projects;
DROP FUNCTION release_work();
DROP FUNCTION tally_executions();
DROP FUNCTION adopt_project_of_task();
"""


def upgrade() -> None:
    run_script(UPGRADE)


def downgrade() -> None:
    run_script(DOWNGRADE)
