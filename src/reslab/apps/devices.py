"""One run on several devices of this machine: torchrun with a process for each, as if one command.

What torchrun prints of a process that ends, nobody needs: here is said in a line why the run ended.
"""

import contextlib
import logging
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

import psutil
from omegaconf import DictConfig

from reslab.errors import UserError, stop_behind
from reslab.jobs.parent import VARIABLE
from reslab.jobs.slots import THREADS, find_gpus, num_threads
from reslab.reporter import Reporter
from reslab.runs.control import STOPPING, signals_heard, train_command
from reslab.runs.options import check_trainer
from reslab.runs.request import Request
from reslab.runs.store import RunDirectory

REASON = "RESLAB_REASON"  # names the file that has the line of the first process that failed
OF_ALL = "RESLAB_THREADS_OF_ALL"  # what `THREADS` says of all processes together, if anything
GOES_ON = "the same command goes on from the last checkpoint"


def is_one_of_several() -> bool:
    """Whether torchrun has started this process with others, here or by its own command."""
    return "RANK" in os.environ and os.environ.get("WORLD_SIZE", "1") != "1"


def speaks_for_all() -> bool:
    """Whether this is the process that says what all do; it is the `ranks.is_first` that writes."""
    return not is_one_of_several() or os.environ["RANK"] == "0"


def is_started_here() -> bool:
    """Whether a command of reslab's has started torchrun for it, and says for all how they end."""
    return REASON in os.environ


@contextmanager
def left_to_end(reporter: Reporter) -> Iterator[None]:
    """Has a process that torchrun started with others not be told to end once it is about to.

    Args:
        reporter: Told if it ends for another one has, where no command of reslab's says so for all.
    """
    try:
        yield
    except BaseException as error:
        from reslab.ranks import LostError

        if isinstance(stop_behind(error), LostError) and not is_started_here():
            which = f"process {int(os.environ['RANK']) + 1} of {os.environ['WORLD_SIZE']}"
            why = "another one has ended, and torchrun says where that ran which and how"
            reporter.say(f"\nreslab: {which} ends: {why}; {GOES_ON}")  # a bar may stand there
        raise
    finally:
        if is_one_of_several():
            for signum in STOPPING:
                signal.signal(signum, signal.SIG_IGN)


def leave_reason(line: str) -> NoReturn:
    """Ends a process that was started here, with why the run is to end; the first one counts."""
    with contextlib.suppress(FileExistsError), Path(os.environ[REASON]).open("x") as file:
        file.write(line)
    sys.exit(1)


def as_given(request: Request) -> Request:
    """A request of this process with the threads that the command was given for all processes.

    So that these share them again, and alike, when the run goes on.
    """
    if not is_started_here():
        return request
    others = {name: value for name, value in request.variables.items() if name != THREADS}
    given = os.environ[OF_ALL]
    return replace(request, variables=others | ({THREADS: given} if given else {}))


def num_processes(cfg: DictConfig) -> int:
    """How many processes a run is to have on this machine; 1: this one is all it takes.

    Raises:
        UserError: There are not as many devices, what is asked for is no number of them, or
            torchrun has started what nobody asked for.
    """
    if cfg.trainer.get("strategy") != "ddp":
        if is_one_of_several():
            raise UserError(
                f"torchrun has started {os.environ['WORLD_SIZE']} processes: add trainer=ddp, "
                f"which has them share one run"
            )
        return 1
    if is_one_of_several():
        return 1
    check_trainer(cfg.trainer)
    asked = cfg.trainer.devices
    gpus = find_gpus() if cfg.trainer.accelerator != "cpu" else []
    if asked == "auto":
        return max(1, len(gpus))
    if asked > 1 and gpus == ["mps"]:
        raise UserError(f"trainer.devices={asked}: add trainer.accelerator=cpu, or give 1")
    if gpus and asked > len(gpus):
        there = "is 1 GPU" if len(gpus) == 1 else f"are {len(gpus)} GPUs"
        raise UserError(f"trainer.devices={asked}: there {there} for this run")
    return asked


def run_on(
    number: int,
    directory: RunDirectory,
    overrides: list[str],
    config_dirs: list[str],
    reporter: Reporter,
) -> NoReturn:
    """Runs a configuration in so many processes on this machine, and ends as one would have.

    The first signal has them save and end; Ctrl-C after it ends them at once. When this process is
    killed, they save and end too, on Linux.

    Raises:
        UserError: A process failed or was killed: why, in a line.
    """
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    signals: list[int] = []

    def tell(signum: int) -> None:
        signals.append(signum)
        processes = psutil.Process().children()
        if not processes:  # not yet
            sys.exit(128 + signum)
        if len(signals) == 1:
            reporter.say("\nstopping after this step; Ctrl-C again stops at once")  # past a bar
        for process in processes:
            with contextlib.suppress(psutil.NoSuchProcess):
                if len(signals) == 1:
                    process.terminate()
                elif signum == signal.SIGINT:
                    process.kill()

    logging.disable()  # torchrun's own
    with tempfile.TemporaryDirectory() as folder, signals_heard(tell):
        reason = Path(folder, "reason.txt")
        os.environ |= {REASON: str(reason), VARIABLE: str(os.getpid())}
        share = max(1, num_threads() // number)
        os.environ |= {OF_ALL: os.environ.get(THREADS, ""), THREADS: str(share)}
        options = ["--standalone", f"--nproc-per-node={number}", f"--log-dir={folder}"]
        options.append("--signals-to-handle=SIGQUIT")  # those that stop are `tell`'s
        command = train_command(overrides, config_dirs, directory)[1:]
        try:
            torchrun.run(torchrun.parse_args([*options, *command]))
        except ChildFailedError as error:
            if signals:
                sys.exit(128 + signals[0])
            reporter.say("")  # ends the line in which the bar of a process may have been left
            if reason.exists():
                _record(line := reason.read_text(), directory)
                raise UserError(line) from None
            _end_as(error.failures, number)
        finally:
            del os.environ[REASON]  # which is the processes', and not this one's
    sys.exit(0)


def _record(reason: str, directory: RunDirectory) -> None:
    """Has the run say why it failed where another than its first process did."""
    known = (directory.failure_file, directory.record_file)
    if not any(file.exists() for file in known) and not directory.is_running():
        with contextlib.suppress(OSError):
            directory.failure_file.write_text(f"{reason}\n")


def _end_as(failures: dict[int, Any], number: int) -> NoReturn:
    """Ends as processes did that left no reason: by a signal, or with a traceback."""
    statuses = {rank: failure.exitcode for rank, failure in failures.items()}
    for rank, status in statuses.items():
        if status < 0 and -status not in STOPPING:
            how = f"was killed by signal {-status} ({signal.strsignal(-status)})"
            raise UserError(f"process {rank + 1} of {number} {how}: {GOES_ON}")
    for status in statuses.values():
        if status - 128 in STOPPING:  # `reslab stop` tells the first alone
            sys.exit(status)
    if 1 in statuses.values():  # what Python ends with that has printed a traceback
        sys.exit(1)
    raise UserError(f"one of {number} processes has ended without a word: {GOES_ON}")
