"""Time and memory of the steps of one variant, in one process."""

import time
from dataclasses import dataclass

import torch

from reslab.runs.environment import peak_memory_bytes

WARMUP_STEPS = 5
LEAST_STEPS = 5


@dataclass(frozen=True)
class Measurement:
    """Mean milliseconds of a step after the warm-up, how many, and the process' peak memory."""

    ms_per_step: float
    steps: int
    peak_memory_bytes: int


class Stopwatch:
    """Told of every step, says when enough were seen.

    Args:
        seconds: How long to measure; at least five steps, whatever they take.
        device: The device, waited for where the clock is read.
    """

    def __init__(self, seconds: float, device: torch.device) -> None:
        self.seconds, self.device = seconds, device
        self.steps = -WARMUP_STEPS
        self._begun = self._ended = 0.0

    def step(self) -> bool:
        """Counts a step; True once the measurement is over."""
        self.steps += 1
        if self.steps == 0:
            self._begun = self._now()
        if self.steps < LEAST_STEPS:
            return False
        if time.perf_counter() - self._begun < self.seconds:
            return False
        self._ended = self._now()
        return True

    def measurement(self) -> Measurement:
        """What was measured.

        Raises:
            ValueError: The steps ended too early.
        """
        if not self._ended:
            raise ValueError(f"only {self.steps + WARMUP_STEPS} steps were run")
        milliseconds = 1000 * (self._ended - self._begun) / self.steps
        return Measurement(milliseconds, self.steps, peak_memory_bytes(self.device))

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()
