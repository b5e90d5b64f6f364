"""What agents and people do, and what backs it: projects, tasks, evidence, executions, the feed.

Owns `projects`, `tasks`, `task_comments`, `task_attachments`, `evidence`, `evidence_links`, `agent_executions`,
`execution_totals` and `activity_feed`. Calls identity, audit, auth, http and what lies below.
"""
