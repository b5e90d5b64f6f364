"""Ties a child process to its parent, so that none outlives it, however the parent dies."""

import ctypes
import os
import signal
import sys
import threading
import time

PR_SET_PDEATHSIG = 1

LOOK_EVERY = 0.2
"""Seconds between two looks at the parent where the kernel does not tell of its death."""

# Loaded here: a child that was just forked should load nothing any more.
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def signal_on_death_of(parent: int, number: signal.Signals) -> None:
    """Has the kernel send this process a signal when the thread that forked it ends.

    It holds across exec, but not across a change of user, and does nothing where the kernel cannot. A process
    whose parent is gone already ends at once.
    """
    if _libc is not None:
        _libc.prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def die_with(parent: int) -> None:
    """Ends this process as soon as its parent is gone: a worker without one must not go on answering."""
    signal_on_death_of(parent, signal.SIGKILL)
    if _libc is None:
        threading.Thread(target=_watch, args=(parent,), name="lifeline", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(LOOK_EVERY)
    os._exit(1)
