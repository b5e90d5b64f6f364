"""`aicq seed`: people, agents, their work and what they remember, so that a newcomer sees a living system.

Each part is loaded once for a database: its row in the audit log, which nothing rewrites, tells that it was. What
somebody deletes of it stays deleted. All ids are made from names, so that they are the same everywhere.
"""
