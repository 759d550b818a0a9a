"""What else keeps the cores busy."""

import contextlib

import psutil


def others_cpu_seconds() -> float:
    """CPU seconds that all but this process and its children took since the machine was started."""
    times = psutil.cpu_times()
    left_out = ("idle", "iowait", "guest", "guest_nice")  # not busy, or part of user and nice too
    busy = sum(times) - sum(getattr(times, name, 0.0) for name in left_out)
    this = psutil.Process()
    for process in (this, *this.children(recursive=True)):
        with contextlib.suppress(psutil.NoSuchProcess):  # a child has ended since
            busy -= sum(process.cpu_times()[:4])  # that of children that have ended included
    return busy
