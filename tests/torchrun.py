"""torchrun, as a user starts it on a machine or on several, with `reslab ARGUMENTS` to run."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import processes
from processes import Finished


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def start(
    cwd: Path, *arguments: str, number: int, nodes: int = 1, node: int = 0, port: int | None = None
) -> subprocess.Popen:
    """Starts torchrun in a folder: as one of so many nodes, with a number of processes on each."""
    cwd.mkdir(exist_ok=True, parents=True)
    asked = _asked(*arguments, number=number, nodes=nodes, node=node, port=port)
    return subprocess.Popen(
        [sys.executable, "-m", "torch.distributed.run", *asked],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def fork(cwd: Path, *arguments: str, number: int, **where: int) -> processes.Started:
    """The same, forked from a process that has imported PyTorch already, as are its processes."""
    asked = _asked(*arguments, number=number, **where)
    return processes.start(cwd, *asked, kill=("torchrun", number), OMP_NUM_THREADS="1")


def _asked(
    *arguments: str, number: int, nodes: int = 1, node: int = 0, port: int | None = None
) -> list[str]:
    options = [f"--nnodes={nodes}", f"--node-rank={node}", f"--nproc-per-node={number}"]
    options += ["--master-addr=127.0.0.1", f"--master-port={port or free_port()}"]
    return [*options, "-m", "reslab", *arguments]


def finish(process: subprocess.Popen, timeout: float = 300) -> Finished:
    """What it ended with; at the latest after so many seconds it is ended, and fails the test."""
    try:
        out, err = process.communicate(timeout=timeout)
    finally:
        process.terminate()
    return Finished(process.returncode, out, err)
