"""Messages of all rooms, and of an author, by their ids, which is by time."""

from aicq.db.scripts import run_script

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

UPGRADE = """
-- LogBook.page: the newest entries of all rooms.
CREATE INDEX ix_messages_id ON messages (id);
-- LogBook.page: an author's newest entries; the foreign key's RESTRICT.
CREATE INDEX ix_messages_author_id_id ON messages (author_id, id);
DROP INDEX ix_messages_author_id;
"""

DOWNGRADE = """
CREATE INDEX ix_messages_author_id ON messages (author_id);
DROP INDEX ix_messages_author_id_id;
DROP INDEX ix_messages_id;
"""


def upgrade() -> None:
    """Applies this step."""
    run_script(UPGRADE)


def downgrade() -> None:
    """Takes this step back."""
    run_script(DOWNGRADE)
