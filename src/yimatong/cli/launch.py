"""Become another program as another user, and die with the parent. Run as a script, before any package is imported.

``python -I -S launch.py PARENT SIGNAL UID GID PROGRAM [ARGUMENT ...]``: a UID of -1 keeps the user. Linux clears the
parent-death signal when the user changes, so it is set afterwards; a parent that died in between is noticed by its
number. A script rather than ``preexec_fn``, which is unsafe in a process with threads.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1


def die_with(parent: int, signal_number: int) -> None:
    """Ask Linux for a signal when the parent ends; leave at once when it already has."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal_number, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)


def main(arguments: list[str]) -> None:
    """Change the user when asked, tie the life to the parent's, become the program."""
    parent, signal_number, uid, gid = (int(value) for value in arguments[:4])
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)
    os.umask(0o077)
    die_with(parent, signal_number)
    os.execv(arguments[4], arguments[4:])  # noqa: S606 -- the program is our own PostgreSQL


if __name__ == "__main__":
    main(sys.argv[1:])
