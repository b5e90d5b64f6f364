"""Conversations, memories, and the log that tells what each memory was at any past moment."""

from aicq import settings
from aicq.db.scripts import run_script

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

UPGRADE = """
CREATE TYPE conversation_status AS ENUM ('active', 'idle', 'closed');
CREATE TYPE message_role AS ENUM ('user', 'assistant', 'system', 'tool');
CREATE TYPE memory_type_enum AS ENUM (
    'semantic', 'episodic', 'procedural', 'agent_private', 'shared', 'identity', 'user_profile'
);
CREATE TYPE memory_source AS ENUM ('extraction', 'explicit', 'system', 'feedback', 'consolidation', 'compaction');
CREATE TYPE memory_tier AS ENUM ('hot', 'warm', 'cold');
CREATE TYPE memory_status AS ENUM ('active', 'superseded', 'archived', 'disputed');
CREATE TYPE memory_link_kind AS ENUM ('contradicts', 'related_to');

-- What belongs to a team points at agents of that team only.
ALTER TABLE agents ADD CONSTRAINT uq_agents_team_id_id UNIQUE (team_id, id);

CREATE TABLE conversations (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    team_id uuid NOT NULL,
    agent_id uuid,
    user_id uuid,
    title text,
    status conversation_status NOT NULL DEFAULT 'active',
    message_count integer NOT NULL DEFAULT 0,
    total_input_tokens bigint NOT NULL DEFAULT 0,
    total_output_tokens bigint NOT NULL DEFAULT 0,
    summary text,
    metadata jsonb NOT NULL DEFAULT '{}',
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    last_message_at timestamptz,
    CONSTRAINT pk_conversations PRIMARY KEY (id),
    CONSTRAINT uq_conversations_team_id_id UNIQUE (team_id, id),
    CONSTRAINT fk_conversations_team_id_teams FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE,
    CONSTRAINT fk_conversations_agent_id_agents FOREIGN KEY (team_id, agent_id)
        REFERENCES agents (team_id, id) ON DELETE SET NULL (agent_id),
    CONSTRAINT fk_conversations_user_id_actors FOREIGN KEY (user_id) REFERENCES actors (id) ON DELETE SET NULL,
    CONSTRAINT ck_conversations_title CHECK (length(title) BETWEEN 1 AND 200),
    CONSTRAINT ck_conversations_metadata CHECK (jsonb_typeof(metadata) = 'object')
);
-- Each message moves the counts: room for such updates within the page.
ALTER TABLE conversations SET (fillfactor = 70);
-- ConversationRepository.page by agent; the foreign key's SET NULL.
CREATE INDEX ix_conversations_agent_id ON conversations (team_id, agent_id, id) WHERE agent_id IS NOT NULL;
-- ConversationRepository.page by user; the foreign key's SET NULL.
CREATE INDEX ix_conversations_user_id ON conversations (user_id, id) WHERE user_id IS NOT NULL;
-- ConversationRepository.page of active ones.
CREATE INDEX ix_conversations_active ON conversations (team_id, id) WHERE status = 'active';

CREATE TABLE conversation_messages (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    team_id uuid NOT NULL,
    conversation_id uuid NOT NULL,
    agent_id uuid,
    role message_role NOT NULL,
    content text NOT NULL,
    tool_calls jsonb,
    tool_results jsonb,
    token_count integer,
    model text,
    feedback_rating text,
    feedback_comment text,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_conversation_messages PRIMARY KEY (id),
    CONSTRAINT fk_conversation_messages_conversation_id_conversations FOREIGN KEY (team_id, conversation_id)
        REFERENCES conversations (team_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_conversation_messages_agent_id_agents FOREIGN KEY (team_id, agent_id)
        REFERENCES agents (team_id, id) ON DELETE SET NULL (agent_id),
    CONSTRAINT ck_conversation_messages_token_count CHECK (token_count >= 0),
    CONSTRAINT ck_conversation_messages_feedback_rating CHECK (feedback_rating IN ('positive', 'negative'))
);
-- ConversationMessageRepository.list_of; the foreign key's CASCADE.
CREATE INDEX ix_conversation_messages_conversation_id ON conversation_messages (conversation_id, created_at, id);
-- The foreign key's SET NULL.
CREATE INDEX ix_conversation_messages_agent_id ON conversation_messages (team_id, agent_id)
    WHERE agent_id IS NOT NULL;

-- `words` and `version` are kept by triggers alone. `embedded_version` is the version that brought the embedding.
CREATE TABLE memories (
    id uuid NOT NULL DEFAULT gen_random_uuid(),
    team_id uuid NOT NULL,
    agent_id uuid,
    user_id uuid,
    memory_type memory_type_enum NOT NULL,
    content text NOT NULL,
    subject text,
    embedding vector(EMBEDDING_DIMENSIONS),
    embedding_model text,
    embedded_version integer,
    importance integer NOT NULL DEFAULT 5,
    confidence double precision NOT NULL DEFAULT 1,
    is_pinned boolean NOT NULL DEFAULT false,
    source_type memory_source NOT NULL DEFAULT 'explicit',
    source_conversation_id uuid,
    source_message_ids uuid[] NOT NULL DEFAULT '{}',
    extraction_model text,
    version integer NOT NULL DEFAULT 1,
    superseded_by uuid,
    metadata jsonb NOT NULL DEFAULT '{}',
    tier memory_tier NOT NULL DEFAULT 'hot',
    status memory_status NOT NULL DEFAULT 'active',
    words tsvector,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    CONSTRAINT pk_memories PRIMARY KEY (id),
    CONSTRAINT uq_memories_team_id_id UNIQUE (team_id, id),
    CONSTRAINT fk_memories_team_id_teams FOREIGN KEY (team_id) REFERENCES teams (id) ON DELETE CASCADE,
    CONSTRAINT fk_memories_agent_id_agents FOREIGN KEY (team_id, agent_id)
        REFERENCES agents (team_id, id) ON DELETE SET NULL (agent_id),
    CONSTRAINT fk_memories_user_id_actors FOREIGN KEY (user_id) REFERENCES actors (id) ON DELETE SET NULL,
    CONSTRAINT fk_memories_source_conversation_id_conversations FOREIGN KEY (team_id, source_conversation_id)
        REFERENCES conversations (team_id, id) ON DELETE SET NULL (source_conversation_id),
    CONSTRAINT fk_memories_superseded_by_memories FOREIGN KEY (team_id, superseded_by)
        REFERENCES memories (team_id, id) ON DELETE SET NULL (superseded_by),
    -- More than a megabyte of words cannot be indexed.
    CONSTRAINT ck_memories_content CHECK (length(content) BETWEEN 1 AND 65536),
    CONSTRAINT ck_memories_subject CHECK (length(subject) BETWEEN 1 AND 200),
    -- A vector without length has no direction, and the index keeps numbers of half precision.
    CONSTRAINT ck_memories_embedding CHECK (vector_norm(embedding) BETWEEN 0.001 AND 10000),
    CONSTRAINT ck_memories_importance CHECK (importance BETWEEN 1 AND 10),
    CONSTRAINT ck_memories_confidence CHECK (confidence BETWEEN 0 AND 1),
    CONSTRAINT ck_memories_metadata CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT ck_memories_not_superseded_by_itself CHECK (superseded_by <> id)
);
-- An update that moves no indexed column stays within its page and enters no index anew, the vectors' least of all.
ALTER TABLE memories SET (fillfactor = 70);
-- MemoryRepository.search_by_embedding of large teams. It asks the index for candidates and orders them by the full
-- vectors. Half precision is half the size; an index that is built empty learns as it grows, unlike IVFFlat.
CREATE INDEX ix_memories_embedding ON memories
    USING hnsw ((embedding::halfvec(EMBEDDING_DIMENSIONS)) halfvec_cosine_ops)
    WHERE status = 'active' AND embedding IS NOT NULL;
-- MemoryRepository.measure and search_by_embedding: a team's vectors, to be counted and compared one by one.
CREATE INDEX ix_memories_embedded ON memories (team_id) WHERE status = 'active' AND embedding IS NOT NULL;
-- MemoryRepository.search_by_text. `words` bears the team, so that others' memories are not looked at.
CREATE INDEX ix_memories_words ON memories USING gin (words) WITH (fastupdate = off);
-- MemoryRepository.page by type.
CREATE INDEX ix_memories_memory_type ON memories (team_id, memory_type, id) WHERE status = 'active';
-- MemoryRepository.measure and page by status: what recall leaves out.
CREATE INDEX ix_memories_status ON memories (team_id, status, id) WHERE status <> 'active';
-- MemoryRepository.page by agent; the foreign key's SET NULL.
CREATE INDEX ix_memories_agent_id ON memories (team_id, agent_id, id) WHERE agent_id IS NOT NULL;
-- MemoryRepository.page of what is known of a user.
CREATE INDEX ix_memories_user_profile ON memories (team_id, user_id, id)
    WHERE memory_type = 'user_profile' AND status = 'active';
-- The foreign key's SET NULL.
CREATE INDEX ix_memories_user_id ON memories (user_id) WHERE user_id IS NOT NULL;
-- MemoryRepository.list_important.
CREATE INDEX ix_memories_importance ON memories (team_id, importance DESC, id) WHERE status = 'active';
-- MemoryRepository.page by subject.
CREATE INDEX ix_memories_subject ON memories (team_id, lower(subject), id) WHERE subject IS NOT NULL;
-- MemoryRepository.page by tier: nearly all are hot, and those are what the other lists show.
CREATE INDEX ix_memories_tier ON memories (team_id, tier, id) WHERE tier <> 'hot';
-- MemoryRepository.list_expired, archive_expired.
CREATE INDEX ix_memories_expires_at ON memories (expires_at) WHERE expires_at IS NOT NULL AND status = 'active';
-- MemoryRepository.page by conversation; the foreign key's SET NULL.
CREATE INDEX ix_memories_source_conversation_id ON memories (team_id, source_conversation_id, id)
    WHERE source_conversation_id IS NOT NULL;
-- MemoryRepository.list_superseded_by; the foreign key's SET NULL.
CREATE INDEX ix_memories_superseded_by ON memories (team_id, superseded_by) WHERE superseded_by IS NOT NULL;

CREATE TABLE memory_tags (
    memory_id uuid NOT NULL,
    tag text NOT NULL,
    team_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_memory_tags PRIMARY KEY (memory_id, tag),
    CONSTRAINT fk_memory_tags_memory_id_memories FOREIGN KEY (team_id, memory_id)
        REFERENCES memories (team_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_memory_tags_tag CHECK (length(tag) BETWEEN 1 AND 64 AND tag = lower(btrim(tag)))
);
-- MemoryRepository.page by tags.
CREATE INDEX ix_memory_tags_tag ON memory_tags (team_id, tag, memory_id);

CREATE TABLE memory_links (
    from_id uuid NOT NULL,
    to_id uuid NOT NULL,
    kind memory_link_kind NOT NULL,
    team_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_memory_links PRIMARY KEY (from_id, to_id, kind),
    CONSTRAINT fk_memory_links_from_id_memories FOREIGN KEY (team_id, from_id)
        REFERENCES memories (team_id, id) ON DELETE CASCADE,
    CONSTRAINT fk_memory_links_to_id_memories FOREIGN KEY (team_id, to_id)
        REFERENCES memories (team_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_memory_links_not_to_itself CHECK (from_id <> to_id)
);
-- MemoryLinkRepository.list_of: those that lead to a memory; the foreign key's CASCADE.
CREATE INDEX ix_memory_links_to_id ON memory_links (to_id, kind);

-- Beside the memories: counting there would enter every index anew for each recall, a hundred times as dear.
CREATE TABLE memory_accesses (
    memory_id uuid NOT NULL,
    team_id uuid NOT NULL,
    access_count bigint NOT NULL DEFAULT 0,
    last_accessed_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_memory_accesses PRIMARY KEY (memory_id),
    CONSTRAINT fk_memory_accesses_memory_id_memories FOREIGN KEY (team_id, memory_id)
        REFERENCES memories (team_id, id) ON DELETE CASCADE,
    CONSTRAINT ck_memory_accesses_access_count CHECK (access_count >= 0)
);
ALTER TABLE memory_accesses SET (fillfactor = 70);
-- MemoryRepository.list_recent.
CREATE INDEX ix_memory_accesses_last_accessed_at ON memory_accesses (team_id, last_accessed_at DESC, memory_id);

-- No foreign keys: the history outlives what it tells of. `seq` is the version that the entry led to. `created_at` is
-- taken while the memory is locked and is above the one before, so in each memory both have the same order.
CREATE TABLE memory_log (
    memory_id uuid NOT NULL,
    seq integer NOT NULL,
    team_id uuid NOT NULL,
    action text NOT NULL,
    old_content text,
    new_content text,
    old_importance integer,
    new_importance integer,
    old_tier memory_tier,
    new_tier memory_tier,
    old_status memory_status,
    new_status memory_status,
    changed_by text,
    reason text,
    conversation_id uuid,
    related_memory_ids uuid[] NOT NULL DEFAULT '{}',
    snapshot jsonb NOT NULL,
    embedding vector(EMBEDDING_DIMENSIONS),
    created_at timestamptz NOT NULL,
    CONSTRAINT pk_memory_log PRIMARY KEY (memory_id, seq),
    CONSTRAINT ck_memory_log_action CHECK (
        action IN (
            'created', 'updated', 'superseded', 'archived', 'disputed', 'restored', 'tagged', 'linked', 'deleted'
        )
    )
);
-- reconstruct_memory_at: what a memory was.
CREATE INDEX ix_memory_log_memory_id_created_at ON memory_log (memory_id, created_at);
-- reconstruct_memories_at: what a team's memories were.
CREATE INDEX ix_memory_log_team_id_memory_id ON memory_log (team_id, memory_id, created_at DESC) INCLUDE (action, seq);
-- MemoryLogRepository.list_changes and MemoryRepository.recall_at: what happened to a team's memories.
CREATE INDEX ix_memory_log_team_id_created_at ON memory_log (team_id, created_at, memory_id, seq);

CREATE TRIGGER append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON memory_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_to_rewrite();
ALTER TABLE memory_log ENABLE ALWAYS TRIGGER append_only;

CREATE TRIGGER set_updated_at_conversation BEFORE UPDATE ON conversations
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION trigger_set_updated_at();
CREATE TRIGGER set_updated_at_memory BEFORE UPDATE ON memories
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION trigger_set_updated_at();

-- Counts a statement's messages. Row by row would cost thirty times as much. The conversations are locked in the order
-- of their ids, so no two statements wait for each other; what others counted meanwhile is seen, because each statement
-- of a function sees what was committed before it. What assistants say is output, all else was input to them.
CREATE FUNCTION trigger_update_conversation_stats() RETURNS trigger LANGUAGE plpgsql
SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
DECLARE
    ids uuid[];
BEGIN
    IF TG_OP = 'INSERT' THEN
        SELECT array_agg(DISTINCT a.conversation_id) INTO ids FROM added a;
    ELSIF TG_OP = 'DELETE' THEN
        SELECT array_agg(DISTINCT r.conversation_id) INTO ids FROM removed r;
    ELSE
        SELECT array_agg(DISTINCT b.conversation_id) INTO ids FROM (
            (TABLE added EXCEPT TABLE removed) UNION ALL (TABLE removed EXCEPT TABLE added)
        ) b;
    END IF;
    PERFORM FROM conversations c WHERE c.id = ANY (ids) ORDER BY c.id FOR NO KEY UPDATE;
    IF TG_OP <> 'INSERT' THEN
        UPDATE conversations c SET message_count = c.message_count - t.messages,
            total_input_tokens = c.total_input_tokens - t.input, total_output_tokens = c.total_output_tokens - t.output,
            last_message_at = (SELECT max(m.created_at) FROM conversation_messages m WHERE m.conversation_id = c.id)
        FROM (
            SELECT r.conversation_id, count(*) AS messages,
                coalesce(sum(r.token_count) FILTER (WHERE r.role <> 'assistant'), 0) AS input,
                coalesce(sum(r.token_count) FILTER (WHERE r.role = 'assistant'), 0) AS output
            FROM removed r GROUP BY r.conversation_id
        ) t
        WHERE c.id = t.conversation_id AND c.id = ANY (ids);
    END IF;
    IF TG_OP <> 'DELETE' THEN
        UPDATE conversations c SET message_count = c.message_count + t.messages,
            total_input_tokens = c.total_input_tokens + t.input, total_output_tokens = c.total_output_tokens + t.output,
            last_message_at = greatest(c.last_message_at, t.newest)
        FROM (
            SELECT a.conversation_id, count(*) AS messages, max(a.created_at) AS newest,
                coalesce(sum(a.token_count) FILTER (WHERE a.role <> 'assistant'), 0) AS input,
                coalesce(sum(a.token_count) FILTER (WHERE a.role = 'assistant'), 0) AS output
            FROM added a GROUP BY a.conversation_id
        ) t
        WHERE c.id = t.conversation_id AND c.id = ANY (ids);
    END IF;
    RETURN NULL;
END
$$;

CREATE TRIGGER update_conversation_on_message AFTER INSERT ON conversation_messages
    REFERENCING NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION trigger_update_conversation_stats();
CREATE TRIGGER update_conversation_on_message_change AFTER UPDATE ON conversation_messages
    REFERENCING OLD TABLE AS removed NEW TABLE AS added
    FOR EACH STATEMENT EXECUTE FUNCTION trigger_update_conversation_stats();
CREATE TRIGGER update_conversation_on_message_delete AFTER DELETE ON conversation_messages
    REFERENCING OLD TABLE AS removed
    FOR EACH STATEMENT EXECUTE FUNCTION trigger_update_conversation_stats();

-- Keeps what follows from the rest of a memory: its version, the words it is found by, and which version brought the
-- embedding. Words stand as they are, for names and numbers, and as English reads them; one more bears the team.
CREATE FUNCTION trigger_prepare_memory() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
BEGIN
    IF TG_OP = 'INSERT' THEN
        -- A memory that comes back after it was deleted goes on with its history.
        NEW.version := coalesce((SELECT max(l.seq) FROM memory_log l WHERE l.memory_id = NEW.id), 0) + 1;
        NEW.embedded_version := CASE WHEN NEW.embedding IS NOT NULL THEN NEW.version END;
    ELSE
        IF (NEW.id, NEW.team_id, NEW.created_at) IS DISTINCT FROM (OLD.id, OLD.team_id, OLD.created_at) THEN
            RAISE check_violation USING
                MESSAGE = 'a memory keeps its id, its team and its birthday', TABLE = 'memories',
                CONSTRAINT = 'ck_memories_it_keeps_id_team_and_birthday';
        END IF;
        NEW.version := OLD.version + 1;
        NEW.embedded_version := CASE
            WHEN NEW.embedding IS NULL THEN NULL
            WHEN OLD.embedding IS NULL OR NEW.embedding <> OLD.embedding THEN NEW.version
            ELSE OLD.embedded_version
        END;
    END IF;
    IF TG_OP = 'INSERT' OR (NEW.subject, NEW.content) IS DISTINCT FROM (OLD.subject, OLD.content) THEN
        NEW.words := array_to_tsvector(ARRAY['team ' || NEW.team_id])
            || to_tsvector('english', concat_ws(' ', NEW.subject, NEW.content))
            || to_tsvector('simple', concat_ws(' ', NEW.subject, NEW.content));
    ELSE
        NEW.words := OLD.words;
    END IF;
    IF NEW.superseded_by IS NOT NULL AND (TG_OP = 'INSERT' OR NEW.superseded_by IS DISTINCT FROM OLD.superseded_by) THEN
        PERFORM FROM memories m WHERE m.id = NEW.superseded_by FOR NO KEY UPDATE;
        PERFORM FROM memories m WHERE m.id = NEW.superseded_by AND m.superseded_by IS NOT NULL;
        IF FOUND THEN
            RAISE check_violation USING
                MESSAGE = 'what supersedes a memory is superseded itself', TABLE = 'memories',
                CONSTRAINT = 'ck_memories_what_supersedes_is_superseded_itself';
        END IF;
    END IF;
    RETURN NEW;
END
$$;

-- They run in the order of their names: what this one keeps is there before set_updated_at_memory compares.
CREATE TRIGGER prepare_memory BEFORE INSERT ON memories
    FOR EACH ROW EXECUTE FUNCTION trigger_prepare_memory();
CREATE TRIGGER prepare_memory_again BEFORE UPDATE ON memories
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION trigger_prepare_memory();

-- A memory's tags and links, as its history shows them.
CREATE FUNCTION memory_surroundings(p_memory_id uuid) RETURNS jsonb LANGUAGE sql STABLE SET enable_seqscan = off AS $$
    SELECT jsonb_build_object(
        'tags', (
            SELECT coalesce(jsonb_agg(t.tag ORDER BY t.tag), '[]') FROM memory_tags t WHERE t.memory_id = p_memory_id
        ),
        'contradicts', (
            SELECT coalesce(jsonb_agg(l.to_id ORDER BY l.to_id), '[]') FROM memory_links l
            WHERE l.from_id = p_memory_id AND l.kind = 'contradicts'
        ),
        'related_to', (
            SELECT coalesce(jsonb_agg(l.to_id ORDER BY l.to_id), '[]') FROM memory_links l
            WHERE l.from_id = p_memory_id AND l.kind = 'related_to'
        )
    )
$$;

-- Whom a state of a memory points at: what supersedes it, what it contradicts or relates to.
CREATE FUNCTION memory_pointers(p_snapshot jsonb) RETURNS SETOF uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT o.id::uuid FROM jsonb_array_elements_text(
        (p_snapshot -> 'contradicts') || (p_snapshot -> 'related_to') || (p_snapshot -> 'superseded_by')
    ) AS o (id) WHERE o.id IS NOT NULL
$$;

-- Writes what was done to a memory into its history, in the same transaction and while the memory is locked.
-- A transaction tells who does it and why by aicq.changed_by, aicq.reason and aicq.conversation_id.
CREATE FUNCTION trigger_log_memory() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    it memories;
    last record;
    state jsonb;
    action text;
BEGIN
    IF TG_OP = 'DELETE' THEN it := OLD; ELSE it := NEW; END IF;
    SELECT l.created_at, l.snapshot INTO last FROM memory_log l WHERE l.memory_id = it.id ORDER BY l.seq DESC LIMIT 1;
    it.words := NULL;
    it.embedding := NULL;
    -- Tags and links are gone before their memory is.
    state := to_jsonb(it) - '{words,embedding}'::text[] || CASE
        WHEN TG_OP <> 'DELETE' THEN memory_surroundings(it.id)
        ELSE jsonb_build_object(
            'tags', last.snapshot -> 'tags', 'contradicts', last.snapshot -> 'contradicts',
            'related_to', last.snapshot -> 'related_to'
        )
    END;
    action := CASE
        WHEN TG_OP = 'INSERT' THEN 'created'
        WHEN TG_OP = 'DELETE' THEN 'deleted'
        WHEN NEW.status <> OLD.status THEN CASE NEW.status WHEN 'active' THEN 'restored' ELSE NEW.status::text END
        WHEN state -> 'tags' <> last.snapshot -> 'tags' THEN 'tagged'
        WHEN state -> 'contradicts' <> last.snapshot -> 'contradicts'
            OR state -> 'related_to' <> last.snapshot -> 'related_to' THEN 'linked'
        ELSE 'updated'
    END;
    INSERT INTO memory_log (
        memory_id, seq, team_id, action, old_content, new_content, old_importance, new_importance, old_tier, new_tier,
        old_status, new_status, changed_by, reason, conversation_id, related_memory_ids, snapshot, embedding, created_at
    ) VALUES (
        it.id, CASE WHEN TG_OP = 'DELETE' THEN OLD.version + 1 ELSE NEW.version END, it.team_id, action,
        OLD.content, NEW.content, OLD.importance, NEW.importance, OLD.tier, NEW.tier, OLD.status, NEW.status,
        nullif(current_setting('aicq.changed_by', true), ''), nullif(current_setting('aicq.reason', true), ''),
        coalesce(nullif(current_setting('aicq.conversation_id', true), '')::uuid, it.source_conversation_id),
        ARRAY(
            (SELECT memory_pointers(state) EXCEPT ALL SELECT memory_pointers(last.snapshot))
            UNION (SELECT memory_pointers(last.snapshot) EXCEPT ALL SELECT memory_pointers(state))
        ),
        state, CASE WHEN it.embedded_version = NEW.version THEN NEW.embedding END,
        greatest(clock_timestamp(), last.created_at + interval '1 microsecond')
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER log_memory AFTER INSERT OR DELETE ON memories
    FOR EACH ROW EXECUTE FUNCTION trigger_log_memory();
CREATE TRIGGER log_memory_change AFTER UPDATE ON memories
    FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.*) EXECUTE FUNCTION trigger_log_memory();

-- Tags and links are part of a memory's state: a statement that changes them makes a new version of their memories,
-- unless the memory came in the same statement, whose entry shows them already, or is gone.
CREATE FUNCTION trigger_log_surroundings() RETURNS trigger LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    ids uuid[];
BEGIN
    IF TG_TABLE_NAME = 'memory_tags' THEN
        ids := ARRAY(SELECT DISTINCT c.memory_id FROM changed c);
    ELSE
        ids := ARRAY(SELECT DISTINCT c.from_id FROM changed c);
    END IF;
    IF TG_OP = 'UPDATE' AND TG_TABLE_NAME = 'memory_tags' THEN
        ids := ids || ARRAY(SELECT DISTINCT w.memory_id FROM was w);
    ELSIF TG_OP = 'UPDATE' THEN
        ids := ids || ARRAY(SELECT DISTINCT w.from_id FROM was w);
    END IF;
    PERFORM FROM memories m WHERE m.id = ANY (ids) ORDER BY m.id FOR NO KEY UPDATE;
    UPDATE memories m SET version = m.version + 1
    WHERE m.id = ANY (ids) AND (
        SELECT l.snapshot || memory_surroundings(m.id) <> l.snapshot FROM memory_log l
        WHERE l.memory_id = m.id ORDER BY l.seq DESC LIMIT 1
    );
    RETURN NULL;
END
$$;

CREATE TRIGGER log_tags AFTER INSERT ON memory_tags REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION trigger_log_surroundings();
CREATE TRIGGER log_tags_gone AFTER DELETE ON memory_tags REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION trigger_log_surroundings();
CREATE TRIGGER log_tags_changed AFTER UPDATE ON memory_tags REFERENCING OLD TABLE AS was NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION trigger_log_surroundings();
CREATE TRIGGER log_links AFTER INSERT ON memory_links REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION trigger_log_surroundings();
CREATE TRIGGER log_links_gone AFTER DELETE ON memory_links REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION trigger_log_surroundings();
CREATE TRIGGER log_links_changed AFTER UPDATE ON memory_links REFERENCING OLD TABLE AS was NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION trigger_log_surroundings();

-- What an agent kept stays with the team that it leaves. Where the team itself is gone, so is all of this.
CREATE FUNCTION trigger_leave_memories() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE conversation_messages SET agent_id = NULL WHERE team_id = OLD.team_id AND agent_id = OLD.id;
    UPDATE conversations SET agent_id = NULL WHERE team_id = OLD.team_id AND agent_id = OLD.id;
    UPDATE memories SET agent_id = NULL WHERE team_id = OLD.team_id AND agent_id = OLD.id;
    RETURN NEW;
END
$$;

CREATE TRIGGER leave_memories BEFORE UPDATE OF team_id ON agents
    FOR EACH ROW WHEN (OLD.team_id <> NEW.team_id OR OLD.team_id IS NOT NULL AND NEW.team_id IS NULL)
    EXECUTE FUNCTION trigger_leave_memories();

-- Counts that memories were recalled. Locked in the order of their ids, so no two callers wait for each other; those
-- that are being deleted are left out. An id that is given twice counts once.
CREATE FUNCTION update_memory_access(memory_ids uuid[], p_at timestamptz DEFAULT clock_timestamp()) RETURNS void
LANGUAGE sql SET enable_seqscan = off SET enable_hashjoin = off SET enable_mergejoin = off AS $$
    WITH there AS MATERIALIZED (
        SELECT m.id, m.team_id FROM memories m WHERE m.id = ANY (memory_ids) ORDER BY m.id FOR KEY SHARE SKIP LOCKED
    )
    INSERT INTO memory_accesses AS a (memory_id, team_id, access_count, last_accessed_at)
    SELECT t.id, t.team_id, 1, p_at FROM there t ORDER BY t.id
    ON CONFLICT (memory_id) DO UPDATE SET access_count = a.access_count + 1,
        last_accessed_at = greatest(a.last_accessed_at, excluded.last_accessed_at)
$$;

-- The entry that tells what a memory was at a time; none before it was made and after it was deleted. Nothing is set
-- here, so that Postgres plans it as a part of whoever asks.
CREATE FUNCTION reconstruct_memory_at(p_memory_id uuid, p_timestamp timestamptz) RETURNS SETOF memory_log
LANGUAGE sql STABLE AS $$
    SELECT * FROM (
        SELECT * FROM memory_log l WHERE l.memory_id = p_memory_id AND l.created_at <= p_timestamp
        ORDER BY l.created_at DESC LIMIT 1
    ) newest WHERE newest.action <> 'deleted'
$$;

-- Likewise for all memories of a team. Keys first, from the index alone; then the entries.
CREATE FUNCTION reconstruct_memories_at(p_team_id uuid, p_timestamp timestamptz) RETURNS SETOF memory_log
LANGUAGE sql STABLE AS $$
    SELECT l.* FROM (
        SELECT DISTINCT ON (k.memory_id) k.memory_id, k.seq, k.action FROM memory_log k
        WHERE k.team_id = p_team_id AND k.created_at <= p_timestamp
        ORDER BY k.memory_id, k.created_at DESC
    ) newest JOIN memory_log l ON l.memory_id = newest.memory_id AND l.seq = newest.seq
    WHERE newest.action <> 'deleted'
$$;
"""

DOWNGRADE = """
DROP FUNCTION reconstruct_memories_at(uuid, timestamptz);
DROP FUNCTION reconstruct_memory_at(uuid, timestamptz);
DROP FUNCTION update_memory_access(uuid[], timestamptz);
DROP TRIGGER leave_memories ON agents;
DROP FUNCTION trigger_leave_memories();
DROP TABLE memory_log;
DROP TABLE memory_accesses;
DROP TABLE memory_links;
DROP TABLE memory_tags;
DROP TABLE memories;
DROP TABLE conversation_messages;
DROP TABLE conversations;
DROP FUNCTION trigger_log_surroundings();
DROP FUNCTION trigger_log_memory();
DROP FUNCTION memory_pointers(jsonb);
DROP FUNCTION memory_surroundings(uuid);
DROP FUNCTION trigger_prepare_memory();
DROP FUNCTION trigger_update_conversation_stats();
ALTER TABLE agents DROP CONSTRAINT uq_agents_team_id_id;
DROP TYPE memory_link_kind;
DROP TYPE memory_status;
DROP TYPE memory_tier;
DROP TYPE memory_source;
DROP TYPE memory_type_enum;
DROP TYPE message_role;
DROP TYPE conversation_status;
"""


def upgrade() -> None:
    # The column's length is chosen once, when it is made; the service compares it with the setting when it starts.
    run_script(UPGRADE.replace("EMBEDDING_DIMENSIONS", str(settings.load().embedding_dimensions)))


def downgrade() -> None:
    run_script(DOWNGRADE)
