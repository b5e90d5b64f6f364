"""Runs the SQL scripts that migrations consist of."""

from alembic import op

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '5s'"
"""A migration that cannot get its lock gives up, rather than have everybody else queue behind it."""


def run_script(script: str) -> None:
    """Runs a migration's statements one by one, because the driver prepares each."""
    op.execute(LOCK_TIMEOUT)
    for statement in split(script):
        op.execute(statement.replace(":", r"\:"))


def split(script: str) -> list[str]:
    """Splits at each semicolon that ends a line outside the `$$` of a function's body."""
    statements: list[str] = []
    lines: list[str] = []
    in_body = False
    for line in script.splitlines():
        lines.append(line)
        in_body ^= line.count("$$") % 2 == 1
        if not in_body and line.split("--")[0].rstrip().endswith(";"):
            statements.append("\n".join(lines))
            lines = []
    return statements
