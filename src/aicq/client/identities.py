"""The file in which agents' keys are kept: by the AICQ that they are registered with, and by name.

An agent has a key for each AICQ, never one for two. A signature covers what a request says, but not for whom it was
meant: whoever receives one could hand it on to another AICQ that knows the key.
"""

import fcntl
import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec

from aicq.client.errors import IdentityError
from aicq.client.keys import AgentKey
from aicq.errors import InvalidRequest

FILE = "agents.json"

OTHERS = stat.S_IRWXG | stat.S_IRWXO

MAX_NAME = 100
"""Bytes of a name, here as at AICQ."""


class Identity(msgspec.Struct, frozen=True):
    """An agent of ours.

    Args:
        url: Where it is registered.
        name: What it is called, here and there.
        key: Its key.
        id: Its id there; empty until it has been told.
    """

    url: str
    name: str
    key: AgentKey
    id: str = ""


class Kept(msgspec.Struct, frozen=True):
    """An agent as it stands in the file. Its key is a secret, so nobody prints it."""

    key: str
    id: str = ""

    def __repr__(self) -> str:
        return f"Kept(id={self.id!r})"


Agents = dict[str, dict[str, Kept]]


class Identities:
    """The identity file.

    Args:
        path: Where it is, or will be.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.expanduser().resolve()

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> "Identities":
        """The file that `AICQ_CONFIG` names, else the one in the user's configuration directory."""
        if given := environ.get("AICQ_CONFIG"):
            return cls(Path(given))
        base = environ.get("XDG_CONFIG_HOME")
        return cls((Path(base) if base else Path.home() / ".config") / "aicq" / FILE)

    def find(self, url: str, name: str = "") -> Identity:
        """An agent by its name, or the only one there is.

        Raises:
            IdentityError: There is none, or there are several and none is named, or the file cannot be used.
        """
        agents = self._read().get(url, {})
        registered = sorted(known for known, kept in agents.items() if kept.id)
        if not agents:
            raise IdentityError(f"There is no agent for {url} yet; `aicq agent register NAME` makes one")
        if not name and len(registered) > 1:
            raise IdentityError(f"There are several agents for {url}; say which with --as: {', '.join(registered)}")
        name = name or next(iter(registered or agents))
        if name not in agents:
            raise IdentityError(f"There is no agent {name} for {url}; there is {', '.join(registered)}")
        if name not in registered:
            raise IdentityError(f"{name} is not registered yet; `aicq agent register {name}` does it")
        return self._identity(url, name, agents[name])

    def find_or_make(self, url: str, name: str) -> Identity:
        """An agent by its name; if there is none, one with a new key, which is kept before it is used.

        Raises:
            IdentityError: The name cannot be one, or the file cannot be used.
        """
        if not name.isprintable() or name != name.strip() or not 0 < len(name.encode()) <= MAX_NAME:
            raise IdentityError(f"A name has 1 to {MAX_NAME} bytes and no control characters")
        with self._changing() as agents:
            kept = agents.setdefault(url, {}).setdefault(name, Kept(AgentKey.generate().to_text()))
        return self._identity(url, name, kept)

    def remember(self, identity: Identity) -> None:
        """Keeps what is known of an agent by now.

        Raises:
            IdentityError: The file cannot be used.
        """
        with self._changing() as agents:
            agents.setdefault(identity.url, {})[identity.name] = Kept(identity.key.to_text(), identity.id)

    def _identity(self, url: str, name: str, kept: Kept) -> Identity:
        try:
            return Identity(url, name, AgentKey.from_text(kept.key), kept.id)
        except InvalidRequest:
            raise IdentityError(f"The key of {name} in {self.path} is none") from None

    def _read(self) -> Agents:
        try:
            with self.path.open("rb") as file:
                self._check(os.fstat(file.fileno()))
                return msgspec.json.decode(file.read(), type=Agents)
        except FileNotFoundError:
            return {}
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise IdentityError(f"The identity file {self.path} holds something else than agents' keys") from None
        except OSError as error:
            raise self._unusable(error) from None

    def _check(self, status: os.stat_result) -> None:
        """Refuses keys that others can read or could have put there."""
        if status.st_uid != os.geteuid():
            raise IdentityError(f"The identity file {self.path} belongs to somebody else")
        if status.st_mode & OTHERS:
            raise IdentityError(
                f"The identity file {self.path} is open to others, who may know its keys by now; `chmod 600` closes it"
            )

    @contextmanager
    def _changing(self) -> Iterator[Agents]:
        """The agents, to be changed; no other process changes them meanwhile, and the file is whole at any moment."""
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            directory = os.open(self.path.parent, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise self._unusable(error) from None
        try:
            fcntl.flock(directory, fcntl.LOCK_EX)
            agents = self._read()
            yield agents
            self._write(agents)
            os.fsync(directory)
        except OSError as error:
            raise self._unusable(error) from None
        finally:
            os.close(directory)

    def _write(self, agents: Any) -> None:
        half = self.path.with_name(f"{self.path.name}.new")
        with suppress(FileNotFoundError):
            half.unlink()
        with os.fdopen(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.format(msgspec.json.encode(agents), indent=2) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        half.replace(self.path)

    def _unusable(self, error: OSError) -> IdentityError:
        return IdentityError(f"The identity file {self.path} cannot be used: {error.strerror}")
