"""A process that saves and ends with the one that started it."""

import os
import signal
import sys

VARIABLE = "RESLAB_PARENT"
PR_SET_PDEATHSIG = 1


def end_with_parent() -> None:
    """Has the system send SIGTERM here when the parent is gone, however it ended, where asked to.

    The child asks by itself, since code between fork and exec is not safe beside threads. Only
    Linux has that: elsewhere the runs of a killed parent go on to their ends.
    """
    parent = os.environ.pop(VARIABLE, None)  # not this process' children's, if it has any
    if parent is None:
        return
    if sys.platform == "linux":
        import ctypes  # for which other commands do not wait

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != int(parent):  # it was gone before that
        sys.exit(128 + signal.SIGTERM)
