"""What something costs, where a limit of time is a test's."""

import resource
import time
from collections.abc import Callable


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least of three takes: one may have the process's own housekeeping in it."""
    return _least(work, time.process_time)


def cpu_seconds_of_children(work: Callable[[], object]) -> float:
    """The same, of the processes that are begun and waited for."""
    return _least(work, _of_children)


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _least(work: Callable[[], object], clock: Callable[[], float]) -> float:
    takes = []
    for _ in range(3):
        begun = clock()
        work()
        takes.append(clock() - begun)
    return min(takes)
