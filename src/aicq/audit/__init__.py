"""What was done, by whom: the append-only audit log. Owns `audit_logs`. Calls http and what lies below."""
