"""The data directory: one process at a time owns it, and the secrets that were made once lie in it."""

import fcntl
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from aicq.errors import StartError
from aicq.settings import Settings

ADMIN_TOKEN = "admin_token"  # noqa: S105 - a file's name
SECRET_KEY = "secret_key"  # noqa: S105 - a file's name


class InUse(StartError):
    """The data directory is in use by another AICQ."""


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Owns the directory, which is made if need be, for as long as the context is open.

    The lock is this process' alone, not that of workers it forks, and the kernel lifts it however the process ends.

    Raises:
        InUse: Another process owns it.
        StartError: It cannot be made or written to.
    """
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file = (directory / "lock").open("a+b")
    except OSError as error:
        raise StartError(f"The data directory {directory} cannot be used: {error.strerror}.") from None
    with file:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            file.seek(0)
            owner = file.read().decode().strip()
            raise InUse(f"The data directory {directory} is in use by another AICQ, process {owner}.") from None
        file.truncate(0)
        file.write(f"{os.getpid()}\n".encode())
        file.flush()
        yield


def with_secrets(settings: Settings) -> Settings:
    """The settings with the secrets that were not given: read from the data directory, or made there."""
    return msgspec.structs.replace(
        settings,
        admin_token=settings.admin_token or _kept(settings.data_dir / ADMIN_TOKEN),
        secret_key=settings.secret_key or _kept(settings.data_dir / SECRET_KEY),
    )


def _kept(file: Path) -> str:
    try:
        if file.exists() and (text := file.read_text().strip()):
            return text
        secret = secrets.token_urlsafe(32)
        half = file.with_suffix(".new")
        half.unlink(missing_ok=True)
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as output:
            output.write(secret + "\n")
        half.replace(file)
    except OSError as error:
        raise StartError(f"The secret in {file} cannot be kept: {error.strerror}.") from None
    return secret
