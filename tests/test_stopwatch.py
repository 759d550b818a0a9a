"""What a stopwatch says of steps, memory and other programs."""

import subprocess
import sys
import time

import psutil
import pytest
import torch

from reslab.bench import stopwatch
from reslab.bench.stopwatch import Stopwatch
from reslab.machine import others_cpu_seconds

BUSY = "import time\nwhile time.process_time() < 1: pass\nprint('did', flush=True); input()"

WITH_A_WORKER = """
import subprocess, sys, torch
from reslab.bench.stopwatch import WARMUP_STEPS, Stopwatch
from reslab.runs.environment import peak_memory_bytes

def measured():
    watch = Stopwatch(0.0, torch.device("cpu"))
    while not watch.step(1):
        pass
    return watch.measurement().peak_memory_bytes - peak_memory_bytes(torch.device("cpu"))

alone = measured()
held = "held = b'x' * 200_000_000; print('ready', flush=True); input()"
pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
with subprocess.Popen([sys.executable, "-c", held], **pipes) as worker:
    worker.stdout.readline()
    print(alone, measured())
    worker.communicate(b"\\n")
"""


def test_the_stopwatch_counts_images_after_the_warm_up(monkeypatch):
    """A step takes a second by this clock; a last batch may be shorter."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    monkeypatch.setattr(stopwatch, "others_cpu_seconds", lambda: 1.5 * now[0])
    watch = Stopwatch(7.0, torch.device("cpu"))
    batches = [1000] * 5 + [10, 4, 10, 4, 10, 4, 10]
    for at, batch in enumerate(batches):
        now[0] += 1
        if at in (3, 8):  # an epoch ends, which is no part of a step
            watch.pause()
            now[0] += 50
            watch.resume()
        assert watch.step(batch) == (at == len(batches) - 1)
    measured = watch.measurement()
    assert measured.others_cpu == pytest.approx(1.5)  # of pauses too
    assert measured.steps == 7
    assert measured.ms_per_step == pytest.approx(1000)
    assert measured.images_per_second == pytest.approx(52 / 7)


def test_the_warm_up_lasts_a_second_or_what_is_measured_if_that_is_shorter(monkeypatch):
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    for seconds, steps in ((10.0, 1 + 100 + 1000), (0.2, 1 + 20 + 20)):  # of 10 ms each
        watch, taken = Stopwatch(seconds, torch.device("cpu")), 1
        while not watch.step(1):
            now[0] += 0.01
            taken += 1
            if taken == 8:  # an epoch ends while it warms up
                watch.pause()
                now[0] += 50
                watch.resume()
        assert taken == pytest.approx(steps, abs=2)
        assert watch.measurement().images_per_second == pytest.approx(100)


def test_what_children_compute_is_not_others(monkeypatch):
    """The clock of the machine stands still, so that what is taken off it shows."""
    still = psutil.cpu_times()
    monkeypatch.setattr(psutil, "cpu_times", lambda: still)
    before = others_cpu_seconds()
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", BUSY], **pipes) as child:
        child.stdout.readline()
        while_alive = others_cpu_seconds()
        child.communicate(b"\n")
    assert while_alive - before < -0.9
    assert others_cpu_seconds() - before < -0.9


@pytest.mark.slow
def test_the_memory_of_worker_processes_counts():
    """One of them holds 200 MB of its own; the process has no other, as the one of the tests may."""
    asked = [sys.executable, "-c", WITH_A_WORKER]
    finished = subprocess.run(asked, capture_output=True, text=True, check=True)
    alone, with_worker = map(int, finished.stdout.split())
    assert alone < 5e6
    assert 200e6 < with_worker < 250e6
