"""What agents keep: conversations, memories, and what each memory was at any past moment.

Owns `conversations`, `conversation_messages`, `memories`, `memory_tags`, `memory_links`, `memory_accesses` and
`memory_log`. Calls identity, audit and what lies below.
"""
