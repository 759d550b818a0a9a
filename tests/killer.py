"""Kills workers of a sweep at moments that are drawn."""

import random
import re
import time
from collections import Counter
from pathlib import Path

import psutil

from reslab.runs.store import RunDirectory

# A kill is drawn to come so many seconds, at the most, after a process has got that far.
STAGES = {"begun": 5.0, "locked": 1.0, "saved": 0.5, "finished": 0.1}


class Killer:
    """Kills the workers of runs that are drawn, each once a round."""

    def __init__(self, runs: Path, draws: random.Random) -> None:
        self.runs, self.draws = runs, draws
        self.killed: Counter[str] = Counter()
        self.missed = 0

    def begin(self, seeds: list[int]) -> None:
        """Draws a fifth of a round's runs, and when each is to be killed."""
        drawn = self.draws.sample(seeds, len(seeds) // 5)
        self.plans = {seed: self._plan() for seed in drawn}
        self.not_begun = [seed for seed in seeds if seed not in drawn]
        self.dues: dict[int, float] = {}
        self.workers: dict[int, psutil.Process] = {}

    def _plan(self) -> tuple[str, float]:
        stage = self.draws.choice(list(STAGES))
        return stage, self.draws.uniform(0, STAGES[stage])

    def look(self, sweep: psutil.Process) -> None:
        for worker in sweep.children():
            try:
                asked = re.search(r"\bseed=(\d+)", " ".join(worker.cmdline()))
            except psutil.Error:
                continue
            if not asked:
                continue
            seed = int(asked[1])
            if seed in self.plans:
                self.workers.setdefault(seed, worker)
            elif seed in self.not_begun:
                self.not_begun.remove(seed)
        for seed, worker in list(self.workers.items()):
            stage, delay = self.plans[seed]
            if seed not in self.dues and stage in self._stages(seed):
                self.dues[seed] = time.monotonic() + delay
            try:
                if worker.status() == psutil.STATUS_ZOMBIE:
                    raise psutil.NoSuchProcess(worker.pid)
                if seed not in self.dues or time.monotonic() < self.dues[seed]:
                    continue
                worker.kill()
                self.killed[self._stages(seed)[-1]] += 1
            except psutil.NoSuchProcess:
                self.missed += 1
                if self.not_begun:  # another in its place
                    other = self.draws.choice(self.not_begun)
                    self.not_begun.remove(other)
                    self.plans[other] = self._plan()
            del self.workers[seed], self.plans[seed]

    def _stages(self, seed: int) -> list[str]:
        """How far a run's process is, all that it has passed."""
        found = list(self.runs.glob(f"*-s{seed}-*"))
        if not found:
            return ["begun"]
        run = RunDirectory(found[0])
        files = {"locked": run.lock_file, "saved": run.latest.last, "finished": run.record_file}
        return ["begun", *(name for name, file in files.items() if file.exists())]
