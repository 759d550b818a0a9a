"""What else keeps the cores busy."""

import contextlib
import os

import psutil


def others_cpu_seconds() -> float:
    """CPU seconds that all but this run took since the machine was started.

    The run is this process, or with torchrun all that it has started, and their children.
    """
    times = psutil.cpu_times()
    left_out = ("idle", "iowait", "guest", "guest_nice")  # not busy, or part of user and nice too
    busy = sum(times) - sum(getattr(times, name, 0.0) for name in left_out)
    this = psutil.Process()
    first = (this.parent() or this) if "TORCHELASTIC_RUN_ID" in os.environ else this
    for process in (first, *first.children(recursive=True)):
        with contextlib.suppress(psutil.Error):  # a child has ended since
            busy -= sum(process.cpu_times()[:4])  # that of children that have ended included
    return busy
