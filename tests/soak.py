"""Many runs in one sweep, a fifth of them killed: `python tests/soak.py 200 [SEED]`.

The sweep is run undisturbed in one process; then with four slots, in which workers are killed at
moments drawn by SEED, and given again until all is finished. It must end with the same bits and
leave nothing behind, and neither its process nor the studio's, which two tabs of Debian's chromium
look at meanwhile, may grow. Prints what was seen; ends with 1 if anything is not as it must be.
"""

import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from browser import visited
from killer import Killer
from measure_studio import COUNT, CURVES, studio
from reslab.errors import UserError
from reslab.runs.store import RunDirectory
from training import assert_same_results

TRAIN = (
    *(sys.executable, "-m", "reslab", "train", "-m", "dataset=digits", "model=baseline_cnn"),
    *("model.widths=[4,4,4,4]", "model.dropout=0.2", "augment=flip", "trainer=exact"),
    *("trainer.accelerator=cpu", "trainer.max_epochs=3", "trainer.quiet=true", "logger=none"),
    "checkpoint_every=0",
)
SIDE_BY_SIDE = ("hydra/launcher=local", "hydra.launcher.slots=4")
MOST_ROUNDS = 10
SECONDS_BETWEEN_SAMPLES = 1.0
WATCHED = 30  # runs, over one another
# How much more in the last third of the time than in the first. A process that runs a sweep's runs
# itself has Hydra in it, which keeps each one's configuration until the sweep is over, 0.15 MiB.
MOST_MIB, MOST_MIB_PER_RUN_INSIDE, MOST_FILES = 12.0, 0.2, 4


@dataclass
class Samples:
    """Memory and open files of a process over its time."""

    process: psutil.Process
    mib: list[float] = field(default_factory=list)
    files: list[int] = field(default_factory=list)
    _next: float = 0.0

    def take(self) -> None:
        if time.monotonic() < self._next or not self.process.is_running():
            return
        self._next = time.monotonic() + SECONDS_BETWEEN_SAMPLES
        try:
            with self.process.oneshot():
                mib, files = self.process.memory_info().rss / 2**20, self.process.num_fds()
        except psutil.Error:  # it has just ended
            return
        self.mib.append(mib)
        self.files.append(files)

    def thirds(self) -> list[tuple[float, float]]:
        """First and last third's medians, of memory and of files."""
        third = max(1, len(self.mib) // 3)
        return [
            (statistics.median(one[:third]), statistics.median(one[-third:]))
            for one in (self.mib, self.files)
        ]


def sweep(runs: Path, number: int, *options: str, **variables: str) -> subprocess.Popen:
    """The sweep's command, which leaves what it says beside the runs."""
    asked = [f"seed=range({number})", f"runs_dir={runs}", *options]
    with runs.with_name(f"{runs.name}.log").open("ab") as log:
        return subprocess.Popen(
            [*TRAIN, *asked], env=os.environ | variables, stdout=log, stderr=log
        )


def finished(runs: Path) -> set[int]:
    found = (RunDirectory(path.parent).record() for path in runs.glob("*/metrics.json"))
    return {record.seed for record in found if record}


def directories(runs: Path) -> list[Path]:
    return sorted(path.parent for path in runs.glob("*/config.yaml"))


def files_of(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def differing(runs: Path, others: Path) -> list[str]:
    """What is not to the bit the same."""
    problems = []
    for path in directories(others):
        try:
            assert_same_results(runs / path.name, path)
            assert RunDirectory(runs / path.name).record().provenance.exact, "not exact"
        except (AssertionError, OSError, UserError, AttributeError) as error:
            problems.append(f"{path.name}: {error!r}".partition("\n")[0])
    return problems


def left(mark: str) -> list[psutil.Process]:
    """Processes that have a mark in their environment."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get("SOAK") == mark:
                found.append(process)
        except psutil.Error:
            continue
    return found


class Report:
    """What was seen, printed as it is, and what of it is not as it must be."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.faults: list[str] = []

    def check(self, is_so: bool, what: str) -> None:
        print(f"  {'ok' if is_so else 'FAULT':5}  {what}", flush=True)
        if not is_so:
            self.faults.append(what)

    def check_none(self, found: list, what: str) -> None:
        self.check(not found, f"{what}: {found[:3] or 'none'}")

    def check_growth(self, samples: Samples, whose: str, inside: int = 0) -> None:
        """Of a process, with so many runs that it runs itself."""
        (mib, later_mib), (files, later_files) = samples.thirds()
        most = MOST_MIB + MOST_MIB_PER_RUN_INSIDE * inside * 2 / 3
        is_so = later_mib - mib <= most and later_files - files <= MOST_FILES
        text = f"{mib:.0f} -> {later_mib:.0f} MiB, {files:.0f} -> {later_files:.0f} open files"
        limits = f"at most {most:.0f} MiB and {MOST_FILES} more"
        self.check(is_so, f"{whose}: {text} ({limits}; {len(samples.mib)} samples)")


def leave_alone(runs: Path, variables: dict[str, str], report: Report) -> None:
    """The sweep in one process, which nothing disturbs."""
    began = time.monotonic()
    process = sweep(runs, report.number, **variables)
    samples = Samples(psutil.Process(process.pid))
    while process.poll() is None:
        if any(runs.glob("*/metrics.json")):  # and all is imported that there is
            samples.take()
        time.sleep(0.2)
    report.check(process.returncode == 0, f"undisturbed in {time.monotonic() - began:.0f} s")
    report.check_growth(samples, "its one process", report.number)


def disturb(
    runs: Path, killer: Killer, look: Callable[[], None], variables: dict[str, str], report: Report
) -> None:
    """The sweep's command, its workers killed, again and again until all is finished."""
    began, rounds, number = time.monotonic(), 0, report.number
    while (missing := set(range(number)) - finished(runs)) and rounds < MOST_ROUNDS:
        rounds += 1
        killer.begin(sorted(missing))
        process = sweep(runs, number, *SIDE_BY_SIDE, **variables)
        samples = Samples(psutil.Process(process.pid))
        while process.poll() is None:
            if samples.process.children():  # and all runs are composed
                samples.take()
            killer.look(samples.process)
            look()
        text = f"{len(finished(runs))} finished, status {process.returncode}"
        print(f"         round {rounds}: {text}", flush=True)
        if rounds == 1:
            report.check_growth(samples, "the sweep's process")
    seconds = time.monotonic() - began
    report.check(not missing, f"{number} finished in {seconds:.0f} s and {rounds} rounds")
    report.check(process.returncode == 0, f"the last command ended with {process.returncode}")
    kills = killer.killed.total()
    stages = ", ".join(f"{stage} {count}" for stage, count in killer.killed.items())
    text = f"{kills} killed, that far: {stages}; {killer.missed} kills came too late"
    report.check(kills >= number // 5, text)
    resumed = killer.killed["saved"]
    report.check(resumed >= number // 50, f"{resumed} of them had saved and were not finished")


def check_tab(tab, condition: str, count: int, what: str, report: Report) -> None:
    try:
        tab.wait_for_function(condition, arg=count, polling=100, timeout=30_000)
        is_so = True
    except Exception:  # playwright's, of a wait that was in vain
        is_so = False
    report.check(is_so, f"a tab that nobody has loaded again shows {count} {what}")
    report.check_none(tab.problems, "errors on its console")


def soak(number: int, seed: int, folder: Path) -> list[str]:
    """Prints what was seen; gives what of it is not as it must be."""
    report, mark = Report(number), str(folder)
    alone, runs, temporary = folder / "alone", folder / "runs", folder / "temporary"
    for one in (runs, temporary):
        one.mkdir()
    variables = {"OMP_NUM_THREADS": "1", "TMPDIR": str(temporary), "SOAK": mark}
    variables["XDG_STATE_HOME"] = str(folder / "state")
    print(f"{number} runs, kills drawn by {seed}, load {os.getloadavg()[0]:.1f}", flush=True)
    leave_alone(alone, variables, report)
    names = [path.name for path in directories(alone)[:WATCHED]]
    watch = "#watch?each=1&" + "&".join(f"run={name}" for name in names)
    with ExitStack() as stack:
        server, address = stack.enter_context(studio(runs, **variables))
        table, curves = [
            stack.enter_context(visited(address + at)) for at in ("#runs?each=1", watch)
        ]
        samples = Samples(server)

        def look() -> None:
            samples.take()
            table.wait_for_timeout(50)

        disturb(runs, Killer(runs, random.Random(seed)), look, variables, report)
        report.check_growth(samples, "the studio's process")
        check_tab(table, COUNT, number, "runs", report)
        chips = table.locator(".chip").all_inner_texts()
        report.check(chips == [f"{number} finished"], f"the states that it counts: {chips}")
        check_tab(curves, CURVES, len(names), "curves", report)
        others = [one for one in left(mark) if server not in (one, *one.parents())]
        report.check_none(others, "processes left by the sweep")
    report.check_none(left(mark), "processes left by the studio")
    report.check_none(differing(runs, alone), "runs that are not the same to the bit")
    strays = sorted((files_of(runs) ^ files_of(alone)) - {".index"}) + sorted(files_of(temporary))
    report.check_none(strays, "files too many or too few")
    return report.faults


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.SystemRandom().randrange(10**6)
    with tempfile.TemporaryDirectory() as folder:
        faults = soak(number, seed, Path(folder))
    sys.exit(f"{len(faults)} faults, with kills drawn by {seed}" if faults else 0)
