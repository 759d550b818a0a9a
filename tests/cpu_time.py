"""What something costs, where a limit of time is a test's."""

import resource
import time
from collections.abc import Callable


def cpu_seconds(work: Callable[[], object]) -> float:
    """The least of three takes: one may have the process's own housekeeping in it."""
    takes = []
    for _ in range(3):
        begun = time.process_time()
        work()
        takes.append(time.process_time() - begun)
    return min(takes)


def children_take_less(limit: float, work: Callable[[], object]) -> bool:
    """Whether the processes that are begun and waited for do, in processor seconds.

    One of five takes is enough, whatever runs beside them: no more are made than that needs.
    """
    for _ in range(5):
        begun = _of_children()
        work()
        if _of_children() - begun < limit:
            return True
    return False


def _of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
