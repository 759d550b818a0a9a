"""No run of the tests waits for ever: where none has ended for too long, it ends, with their names.

What a test may take is limited by pytest-timeout; this is for a worker that ends without a word.
"""

import contextlib
import os
import sys
import threading
import time

import psutil

GRACE = 60  # seconds beyond a test's limit


class Watchdog:
    def __init__(self, limit: float) -> None:
        self.limit, self.heard = limit, time.monotonic()
        self.running: set[str] = set()
        threading.Thread(target=self._watch, daemon=True).start()

    def pytest_runtest_logstart(self, nodeid: str) -> None:
        self.running.add(nodeid)
        self.heard = time.monotonic()

    def pytest_runtest_logreport(self, report) -> None:
        self.heard = time.monotonic()

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        self.running.discard(nodeid)

    def _watch(self) -> None:
        while time.monotonic() - self.heard < self.limit:
            time.sleep(1)
        names = ", ".join(sorted(self.running)) or "none is running"
        print(
            f"\nno test has ended for {self.limit:.0f} s: {names}", file=sys.__stderr__, flush=True
        )
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        os._exit(3)


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        limit = float(config.getini("timeout")) + float(os.environ.get("WATCHDOG_GRACE", GRACE))
        config.pluginmanager.register(Watchdog(limit))
