"""The process beside the studio's server: what it answers, and that it comes and goes."""

import asyncio
import gc
import math
import os
import subprocess

import psutil
import pytest

from reslab.errors import UserError
from reslab.studio.worker import Worker
from reslab.tables.publication import read_publication


def test_it_answers_from_a_process_of_its_own_that_goes_with_whoever_asks():
    async def ask(worker: Worker) -> int:
        with pytest.raises(UserError, match="there is no table nothing"):
            await worker.run(read_publication, name="nothing")
        with pytest.raises(RuntimeError, match="TypeError"):
            await worker.run(os.getpid, no_such=1)
        with pytest.raises(RuntimeError, match="not JSON"):
            await worker.run(subprocess.run, args=["true"])
        several = await asyncio.gather(*(worker.run(math.hypot) for _ in range(50)))
        assert several == [0.0] * 50
        pid: int = await worker.run(os.getpid)
        return pid

    worker = Worker(ahead=())
    pid = asyncio.run(ask(worker))
    (process,) = [child for child in psutil.Process().children() if child.pid == pid]
    del worker
    gc.collect()
    assert psutil.wait_procs([process], timeout=10)[1] == []


def test_if_it_is_killed_who_waits_is_told_and_the_next_has_another():
    worker = Worker(ahead=())

    async def ask() -> None:
        pid = await worker.run(os.getpid)
        waiting = asyncio.create_task(worker.run(subprocess.run, args=["sleep", "20"]))
        await asyncio.sleep(0.2)
        os.kill(pid, 9)
        with pytest.raises(UserError, match="try again"):
            await waiting
        assert await worker.run(os.getpid) != pid

    asyncio.run(ask())
