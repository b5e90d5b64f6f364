"""Messages of all rooms by their ids, by an index that serves the pages of no single room.

By an index of plain ids Postgres read the pages of a room whose messages are old as well, past the newer ones of all
other rooms: 20 ms where those are 200,000, and the more the longer the log grew.
"""

from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Applies this step."""
    op.execute("DROP INDEX ix_messages_id")
    op.execute("CREATE INDEX ix_messages_id ON messages (uuid_send(id))")


def downgrade() -> None:
    """Takes this step back."""
    op.execute("DROP INDEX ix_messages_id")
    op.execute("CREATE INDEX ix_messages_id ON messages (id)")
