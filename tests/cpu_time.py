"""What something costs, where a limit of time is a test's."""

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
