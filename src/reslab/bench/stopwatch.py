"""Time and memory of the steps of one variant, in one process."""

import time
from dataclasses import dataclass

import psutil
import torch

from reslab.machine import others_cpu_seconds
from reslab.runs.environment import peak_memory_bytes

WARMUP_STEPS = 5
WARMUP_SECONDS = 1.0
LEAST_STEPS = 5


@dataclass(frozen=True)
class Measurement:
    """What the steps after the warm-up took on average, how many, and the peak memory.

    On a CPU that is this process' peak, and what its worker processes hold at the end without what
    they share. The first step's time is that from the start of the process to the step's end.
    Others' CPU is how many cores programs that are not measured kept busy meanwhile.
    """

    images_per_second: float
    ms_per_step: float
    steps: int
    peak_memory_bytes: int
    seconds_to_first_step: float
    others_cpu: float


class Stopwatch:
    """Told of every step, says when enough were seen.

    The first five steps, and what follows within a second of the first one's end or within what is
    measured if that is shorter, are to warm up.

    Args:
        seconds: How long to measure; at least five steps, whatever they take.
        device: The device, waited for where the clock is read.
    """

    def __init__(self, seconds: float, device: torch.device) -> None:
        self.seconds, self.device = seconds, device
        self.steps = 0
        self._warmup_steps = self._images = 0
        self._warm = False
        self._begun = self._ended = self._paused = 0.0  # begun: the warm-up, then what is measured
        self._pauses = 0.0  # seconds, since that has begun
        self._workers = 0  # bytes
        self._first = self._others_before = self._others_cpu = 0.0

    def step(self, num_images: int) -> bool:
        """Counts a step of so many images; True once the measurement is over."""
        if not self._warm:
            self._warm_up()
            return False
        self.steps += 1
        self._images += num_images
        if self.steps < LEAST_STEPS or self._elapsed() < self.seconds:
            return False
        self._ended = self._now()
        others = others_cpu_seconds() - self._others_before
        self._others_cpu = others / (self._ended - self._begun)  # pauses are part of both
        if self.device.type == "cpu":
            workers = psutil.Process().children(recursive=True)
            self._workers = sum(worker.memory_full_info().uss for worker in workers)
        return True

    def _warm_up(self) -> None:
        self._warmup_steps += 1
        if self._warmup_steps == 1:
            self._begin()
            self._first = time.time() - psutil.Process().create_time()
        least = min(WARMUP_SECONDS, self.seconds)
        if self._warmup_steps >= WARMUP_STEPS and self._elapsed() >= least:
            self._warm = True
            self._others_before = others_cpu_seconds()
            self._begin()

    def _begin(self) -> None:
        self._begun, self._pauses = self._now(), 0.0

    def _elapsed(self) -> float:
        return time.perf_counter() - self._begun - self._pauses

    def pause(self) -> None:
        """What follows is no part of a step, up to `resume`."""
        self._paused = self._now()

    def resume(self) -> None:
        """Goes on after a pause, if there was one."""
        if self._paused:
            self._pauses += self._now() - self._paused
        self._paused = 0.0

    def measurement(self) -> Measurement:
        """What was measured.

        Raises:
            ValueError: The steps ended too early.
        """
        if not self._ended:
            raise ValueError(f"only {self._warmup_steps + self.steps} steps were run")
        seconds = self._ended - self._begun - self._pauses
        memory = peak_memory_bytes(self.device) + self._workers
        return Measurement(
            self._images / seconds,
            1000 * seconds / self.steps,
            self.steps,
            memory,
            self._first,
            self._others_cpu,
        )

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()
