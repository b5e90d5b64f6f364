"""Which history of the database the hot store was filled from."""

from aicq.db.scripts import run_script

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

UPGRADE = """
-- A dump brings the row along, and so does a backup of the files; the history tells whether it is still true.
ALTER TABLE hot_store ADD COLUMN history text NOT NULL DEFAULT '';
"""

DOWNGRADE = """
ALTER TABLE hot_store DROP COLUMN history;
"""


def upgrade() -> None:
    """Applies this step."""
    run_script(UPGRADE)


def downgrade() -> None:
    """Takes this step back."""
    run_script(DOWNGRADE)
