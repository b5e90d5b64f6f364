"""Runs migrations for `aicq migrate` and for `alembic` alike: one at a time, each in a transaction.

A session-level advisory lock makes processes that start together wait for the first; a lock timeout keeps a migration
from queueing behind a long query while everybody else queues behind the migration.
"""

import asyncio

from alembic import context
from alembic.runtime.migration import MigrationContext, MigrationInfo
from sqlalchemy import Connection, pool, text

from aicq import settings as aicq_settings
from aicq.app import metadata
from aicq.db.engine import create_engine
from aicq.errors import StartError

MIGRATION_LOCK = 4_117_436_671
"""Any number, the same in every process that migrates this database."""

AUDITED = text(
    "INSERT INTO audit_logs (action, acted_as, resource_type, resource_id)"
    " VALUES (:action, 'system', 'schema', :revision)"
)
"""Written in words, not with the model: an older step's table may lack columns that the model has."""


def run(connection: Connection) -> None:
    connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": MIGRATION_LOCK})
    connection.commit()
    try:
        context.configure(
            connection=connection,
            target_metadata=metadata(),
            compare_type=True,
            transaction_per_migration=True,
            on_version_apply=record_step,
        )
        with context.begin_transaction():
            context.run_migrations()
        connection.commit()
        drop_empty_version_table(connection)
    finally:
        connection.rollback()
        connection.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": MIGRATION_LOCK})
        connection.commit()


def record_step(ctx: MigrationContext, step: MigrationInfo, heads: object, run_args: object) -> None:  # noqa: ARG001 - alembic names them
    """Writes to the audit log that a step was made, in its own transaction, wherever there is an audit log."""
    connection = ctx.connection
    if connection is not None and connection.scalar(text("SELECT to_regclass('audit_logs')")):
        direction = "up" if step.is_upgrade else "down"
        revision = step.up_revision_id or ",".join(step.up_revision_ids)
        connection.execute(AUDITED, {"action": f"schema.{direction}", "revision": revision})


def drop_empty_version_table(connection: Connection) -> None:
    """After `downgrade base` nothing of AICQ is left in the database, its book-keeping included."""
    if connection.scalar(text("SELECT to_regclass('alembic_version')")) and not connection.scalar(
        text("SELECT count(*) FROM alembic_version")
    ):
        connection.execute(text("DROP TABLE alembic_version"))
        connection.commit()


def database_url() -> str:
    given = context.config.attributes.get("database_url") or aicq_settings.load().database_url
    if not given:
        raise StartError("DATABASE_URL is not set: `aicq migrate` finds the embedded Postgres by itself.")
    return str(given)


async def connect_and_run() -> None:
    engine = create_engine(database_url(), name="aicq migrate", poolclass=pool.NullPool)
    try:
        async with engine.connect() as connection:
            await connection.run_sync(run)
    finally:
        await engine.dispose()


asyncio.run(connect_and_run())
