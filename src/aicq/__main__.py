"""`python -m aicq` is the `aicq` command."""

from aicq.cli import main

main()
