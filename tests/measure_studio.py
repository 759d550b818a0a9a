"""How fast the studio's page is: `python tests/measure_studio.py 300 1000`, numbers of runs.

Runs of 30 epochs that were never trained, a real server and Debian's chromium. Prints seconds, the
server's share of a core with one idle tab, its memory, and the machine's load meanwhile.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from browser import visited
from studio import write_run

PORT = 8999
IDLE_SECONDS = 10
COUNT = """(number) => [...document.querySelectorAll(".chip")]
    .reduce((sum, one) => sum + parseInt(one.textContent.replace(",", "")), 0) == number"""
FOLDED = "(number) => document.querySelectorAll('tr[aria-expanded]').length >= number"
CURVES = """(number) => window.Bokeh?.documents.some((one) =>
    one.get_model_by_name("lines")?.data.xs?.length >= number)"""
WATCHED = 300  # runs, over one another
DRAWN = 100  # rows at least; the rest of the table of runs is drawn on scrolling
BY_ACCURACY = """() => document.querySelector("[aria-sort=descending]").textContent == "Val, %" """


@contextmanager
def studio(runs: Path, *options: str, **variables: str) -> Iterator[tuple[psutil.Process, str]]:
    """A server of its own process, and the address that it has printed."""
    command = [sys.executable, "-m", "reslab", "studio", "--no-browser"]
    with subprocess.Popen(
        [*command, "--port", str(PORT), "--runs-dir", runs, *options],
        env=os.environ | {"XDG_STATE_HOME": str(runs.parent / "state")} | variables,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            address = process.stderr.readline().split()[-1]
            yield psutil.Process(process.pid), address
        finally:
            process.terminate()


def measure(number: int, folder: Path) -> None:
    runs = folder / "runs"
    for at in range(number):
        write_run(runs, f"run-{at:04}", seed=at % 3, lr=at // 3 + 1, test=0.9, epochs=30)
    print(f"{number} runs, load {os.getloadavg()[0]:.1f}")
    with studio(runs) as (server, address), visited(f"{address}#runs?each=1") as page:

        def until(condition: str, argument: int | None = None) -> None:
            page.wait_for_function(condition, arg=argument, polling=20, timeout=60_000)

        until(COUNT, number)
        loaded = page.evaluate("() => performance.now()") / 1000
        print(f"  {loaded:5.2f} s  all told, of a server that has just begun")
        began = time.perf_counter()
        page.reload()
        until(COUNT, number)
        print(f"  {time.perf_counter() - began:5.2f} s  all told, warm")
        began = time.perf_counter()
        page.get_by_role("button", name="Val, %").click()
        until(BY_ACCURACY)
        print(f"  {time.perf_counter() - began:5.2f} s  sorted by a click")
        began = time.perf_counter()
        write_run(runs, "new", seed=7)
        until(COUNT, number + 1)
        print(f"  {time.perf_counter() - began:5.2f} s  a new run is there")
        began = time.perf_counter()
        page.get_by_label("Fold seeds").check()
        until(FOLDED, min(number // 3, DRAWN))
        print(f"  {time.perf_counter() - began:5.2f} s  folded over seeds")
        page.wait_for_timeout(2000)
        before = sum(server.cpu_times()[:2])
        page.wait_for_timeout(1000 * IDLE_SECONDS)
        share = (sum(server.cpu_times()[:2]) - before) / IDLE_SECONDS
        memory = server.memory_info().rss / 2**20
        print(f"  {share:5.1%}    of a core for an idle tab; {memory:.0f} MiB of memory")
        watch = "#watch?each=1&" + "&".join(f"run=run-{at:04}" for at in range(WATCHED))
        for what, go in {
            "the page being open": lambda: page.evaluate(
                "(hash) => { location.hash = hash }", watch
            ),
            "opened anew": page.reload,
        }.items():
            began = time.perf_counter()
            go()
            until(CURVES, WATCHED)
            print(f"  {time.perf_counter() - began:5.2f} s  {WATCHED} runs' curves, {what}")
        assert not page.problems, page.problems


if __name__ == "__main__":
    for number in map(int, sys.argv[1:] or ["300", "1000"]):
        with tempfile.TemporaryDirectory() as folder:
            measure(number, Path(folder))
