"""Become PostgreSQL: drop to an account, tie this process's life to its parent's, and execute the server.

Run as a program, `python -I -S launch.py <parent pid> <uid or -> <gid or -> <program> <argument>…`, with the
standard library alone. A separate program, because code between fork and exec is not safe in a process
with threads, and the supervisor restarts a killed server from a process that is full of them.
"""

import os
import sys

# Before the change of account: the new one may not be able to read this interpreter's library.
if sys.platform == "linux":
    import ctypes

_PR_SET_PDEATHSIG = 1  # prctl(2)
_SIGINT = 2  # PostgreSQL's fast shutdown


def main(arguments: list[str]) -> None:
    """Execute the program in this process, which keeps its id."""
    parent, uid, gid, program, *rest = arguments
    if uid != "-":
        os.setgroups([])
        os.setgid(int(gid))
        os.setuid(int(uid))
    if sys.platform == "linux":
        # After the change of account, which clears it.
        if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, _SIGINT, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != int(parent):
        sys.exit("the parent process died during the start")
    os.umask(0o077)
    os.execv(program, [program, *rest])


if __name__ == "__main__":
    main(sys.argv[1:])
