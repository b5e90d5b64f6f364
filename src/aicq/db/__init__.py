"""Postgres: the engine, the unit of work, the repositories' base and the embedded server."""
