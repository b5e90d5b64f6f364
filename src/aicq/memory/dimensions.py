"""The length of embeddings, which the column and the setting have to agree on."""

from aicq.db.reach import reach
from aicq.errors import StartError

LENGTH = """
SELECT atttypmod FROM pg_attribute WHERE attrelid = to_regclass('memories') AND attname = 'embedding'
"""


async def find_mismatch(database_url: str, dimensions: int) -> str:
    """What keeps embeddings from being kept, as a sentence; empty if nothing does.

    Args:
        database_url: `postgresql://…`.
        dimensions: `EMBEDDING_DIMENSIONS`.
    """
    connection = await reach(database_url)
    try:
        length = await connection.fetchval(LENGTH)
    finally:
        await connection.close()
    if length in {None, dimensions}:
        return ""
    return (
        f"EMBEDDING_DIMENSIONS is {dimensions}, but memories hold embeddings of {length} numbers: set it to {length}."
        " A database keeps the length that it was made with."
    )


async def check_dimensions(database_url: str, dimensions: int) -> None:
    """Sees to it that embeddings fit their column.

    Args:
        database_url: `postgresql://…`.
        dimensions: `EMBEDDING_DIMENSIONS`.

    Raises:
        StartError: They do not.
    """
    if mismatch := await find_mismatch(database_url, dimensions):
        raise StartError(mismatch)
