"""Search in Postgres: what asks the index is planned anew each time.

A plan that was kept from when the store was nearly empty walked the index of times instead, through all that the store
held by then: of 27,000 messages 20 ms, until Postgres analyzed the table. To plan costs 0.1 ms.
"""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

FUNCTIONS = (
    "hot_messages_find(tsquery, uuid, bigint, bigint, bigint)",
    "hot_messages_held(tsquery, uuid, bigint)",
)


def upgrade() -> None:
    """Applies this step."""
    for function in FUNCTIONS:
        op.execute(f"ALTER FUNCTION {function} SET plan_cache_mode = force_custom_plan")


def downgrade() -> None:
    """Takes this step back."""
    for function in FUNCTIONS:
        op.execute(f"ALTER FUNCTION {function} RESET plan_cache_mode")
