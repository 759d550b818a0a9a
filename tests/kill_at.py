"""Runs `reslab ARGUMENTS` in this process and kills it (SIGKILL) at a given moment.

    python kill_at.py MOMENT NUMBER ARGUMENTS...

The moments, each at its NUMBERth occurrence (from 1):

    step        before an update
    validation  in a validation pass
    record      at an epoch's edge, its row written and its checkpoint not
    epoch       at an epoch's edge, its checkpoint written
    save        in a checkpoint's save, half of the file on the disk
    swap        in a checkpoint's save, the file whole and not yet in its place
    end         after training, before the test set is read
    finished    the record written, and the checkpoint not yet slim
    keep        in the copying of a record, a file whole and not yet in its place
    stall       not killed: an update says `stalled` and takes five seconds, or until a file `go-on`
    infinite    not killed: a step's gradient is infinite
    memory      not killed: there is no memory for a step of more than NUMBER images
    weights     not killed: what was trained is kept, for each process of the run
    undrawn     not killed: of a table no picture is drawn and no page written
    spare       not killed: the NUMBER processes that it starts first are forked ahead
    undrawn and spare   both
    torchrun    not killed: it is torchrun, not reslab, and its NUMBER processes are forked ahead
"""

import os
import signal
import sys
import time
from pathlib import Path

import spare
from reslab import cli, files
from reslab.callbacks import History
from reslab.finite import FiniteGuard
from reslab.runs import execute
from reslab.runs.checkpoint import LatestCheckpoint
from reslab.runs.saving import SaveCheckpoints
from reslab.task import ImageClassifier


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def wrap(owner, name, number, *, after=False, when=lambda *arguments: True):
    original, count = getattr(owner, name), 0

    def wrapped(*arguments, **keywords):
        nonlocal count
        due = False
        if when(*arguments):
            count += 1
            due = count == number
        if due and not after:
            die()
        result = original(*arguments, **keywords)
        if due:
            die()
        return result

    setattr(owner, name, wrapped)


def kill_in_save(number: int) -> None:
    def half(path: Path, *chunks) -> None:
        content = b"".join(chunks)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        with temporary.open("wb") as file:
            file.write(content[: len(content) // 2])
            file.flush()
            os.fsync(file.fileno())
        die()

    count, original = 0, files.write_atomically

    def wrapped(path: Path, *chunks) -> None:
        nonlocal count
        count += path.name == "last.ckpt"
        (half if count == number and path.name == "last.ckpt" else original)(path, *chunks)

    from reslab.runs import checkpoint

    checkpoint.write_atomically = wrapped


def stall(number: int) -> None:
    original, count = ImageClassifier.training_step, 0

    def stalling(*arguments):
        nonlocal count
        count += 1
        original(*arguments)
        if count == number:
            print("stalled", file=sys.stderr, flush=True)
            deadline = time.monotonic() + 5
            while time.monotonic() < deadline and not Path("go-on").exists():
                time.sleep(0.01)

    ImageClassifier.training_step = stalling


def spoil(number: int) -> None:
    original, count = FiniteGuard.check, 0

    def spoiled(guard, loss):
        nonlocal count
        count += 1
        if count == number:
            gradient = guard.parameters[0].grad
            gradient[(0,) * gradient.ndim] = float("inf")
        original(guard, loss)

    FiniteGuard.check = spoiled


def limit_memory(images: int) -> None:
    import torch

    original = ImageClassifier.loss_and_logits

    def limited(task, batch, labels):
        if len(batch) > images:
            torch.empty(2**50)  # which no machine has, as torch's allocator says
        return original(task, batch, labels)

    ImageClassifier.loss_and_logits = limited


def keep_weights() -> None:
    import torch

    original = execute._fit

    def keeping(run, checkpoint):
        original(run, checkpoint)
        torch.save(run.task.state_dict(), f"weights-{os.environ['RANK']}.pt")

    execute._fit = keeping


def draw_nothing() -> None:
    from reslab.tables import figures, page

    figures.draw_all = lambda findings, folder, reporter: ([], [])
    page.write_page = lambda findings, path, pictures, parts: path


def run_torchrun(number: int, arguments: list[str]) -> None:
    from torch.distributed import run

    spare.have(number)
    sys.argv = ["torchrun", *arguments]
    run.main()


def main() -> None:
    moment, number, arguments = sys.argv[1], int(sys.argv[2]), sys.argv[3:]
    if moment == "torchrun":
        return run_torchrun(number, arguments)
    if moment == "step":
        wrap(ImageClassifier, "training_step", number)
    elif moment == "validation":
        wrap(ImageClassifier, "validation_step", number)
    elif moment == "record":
        wrap(History, "on_validation_end", number, after=True)
    elif moment == "epoch":
        wrap(SaveCheckpoints, "on_validation_end", number, after=True)
    elif moment == "save":
        kill_in_save(number)
    elif moment == "swap":
        wrap(Path, "replace", number, when=lambda path, target: Path(target).name == "last.ckpt")
    elif moment == "keep":
        wrap(Path, "replace", number, when=lambda path, target: "reference" in Path(target).parts)
    elif moment == "stall":
        stall(number)
    elif moment == "infinite":
        spoil(number)
    elif moment == "memory":
        limit_memory(number)
    elif moment == "weights":
        keep_weights()
    elif moment == "undrawn":
        draw_nothing()
    elif moment == "spare":
        spare.have(number)
    elif moment == "undrawn and spare":
        draw_nothing()
        spare.have(number)
    elif moment == "end":
        wrap(execute, "finish", number)
    elif moment == "finished":
        wrap(LatestCheckpoint, "settle", number)
    else:
        raise SystemExit(f"no such moment: {moment}")
    sys.argv = ["reslab", *arguments]
    cli.main()


if __name__ == "__main__":
    main()
