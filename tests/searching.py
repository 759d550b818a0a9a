"""Searches whose trials are a few lines instead of a training, in this process or in one to kill."""

import json
import os
import sys

import pytest

import processes
from conftest import REPOSITORY
from reslab.jobs import slurm_pool
from reslab.jobs.cell import Cell
from reslab.search import figures, page, searcher
from training import SMALL

# Epoch after epoch a row, from where it was; its accuracy follows from the learning rate alone.
TRIAL = """
import fcntl, json, os, pathlib, signal, sys, time
run, record, *asked = sys.argv[1:]
run = pathlib.Path(run)
run.mkdir(parents=True, exist_ok=True)
parent = int(os.environ.get("RESLAB_PARENT") or os.getppid())  # on a cluster it has none
if os.getppid() != parent:  # it was killed meanwhile
    sys.exit(143)
lock = open(run / "run.lock", "w")
fcntl.flock(lock, fcntl.LOCK_EX)
values = dict(one.partition("=")[::2] for one in asked)
rate, epochs = float(values["optimizer.lr"]), int(values["trainer.max_epochs"])
with open(run.parent / "begun.txt", "a") as begun:
    begun.write(f"{run.name} {values.get('test', 'true')}\\n")
if values["model.dropout"] == "0.7":
    sys.exit("reslab: the disk is full")
stopped = []
signal.signal(signal.SIGTERM, lambda *of: stopped.append(True))
rows = run / "metrics.csv"
if not rows.exists():
    rows.write_text("epoch,val/loss,val/accuracy\\n")
while (epoch := len(rows.read_text().splitlines())) <= epochs:
    time.sleep(float(os.environ.get("SECONDS", "0.02")))
    if stopped or os.getppid() != parent:
        sys.exit(143)
    value = "nan" if values["model.dropout"] == "0.6" else repr(rate * (1 - 0.5 ** epoch))
    with rows.open("a") as file:
        file.write(f"{epoch},1,{value}\\n")
if "test" in values:
    (run / "untested.txt").touch()
else:
    content = json.loads(pathlib.Path(record).read_text())
    (run / "metrics.json").write_text(json.dumps(content | {"best_epoch": epochs}))
"""
RECORD = next(REPOSITORY.glob("outputs/reference/**/runs/*/metrics.json"))


class Trial(Cell):
    """A cell that runs those lines."""

    @property
    def command(self):
        place = (str(self.directory.path), str(RECORD))
        return [sys.executable, "-S", "-c", TRIAL, *place, *self.overrides]


@pytest.fixture
def faked(monkeypatch, tmp_path):
    """Trials of this process are those lines, in an empty folder."""
    monkeypatch.setattr(searcher, "Cell", Trial)
    monkeypatch.setattr(searcher, "SECONDS_BETWEEN_LOOKS", 0.01)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def draw_nothing(set_attribute):
    """Leaves out the pictures and the page of what is found."""
    for owner, name in (
        *((figures, "draw_history"), (figures, "draw_importances")),
        (page, "write_page"),
    ):
        set_attribute(owner, name, lambda *given: given[-1])


def start(folder, *asked, **environment):
    """Starts a search of such trials in a process of its own, of which nothing is drawn."""
    folder.mkdir(exist_ok=True, parents=True)
    out, err = (folder / f".{os.urandom(4).hex()}.{name}" for name in ("out", "err"))
    out.touch()
    err.touch()
    arguments = (folder, ("search", *asked), None, environment, out, err)
    process = processes._context.Process(target=_work, args=arguments)
    process.start()
    return processes.Started(process, out, err)


def _work(*arguments):
    searcher.Cell = Trial
    slurm_pool.SECONDS_BETWEEN_QUESTIONS = 0.3
    draw_nothing(setattr)
    processes._work(*arguments)


def content(folder):
    """What the one search there says of itself."""
    (path,) = folder.glob("outputs/runs/searches/*/search.json")
    return json.loads(path.read_text())


def begun(folder):
    """The run and whether it was to read the test set, of each process that was begun."""
    lines = (folder / "outputs/runs/begun.txt").read_text().splitlines()
    return [tuple(line.split()) for line in lines]


RATES = "optimizer.lr=log(1e-4,1e-1)"


DROPOUT = "model.dropout=0.0,0.2,0.5"


ASKED = (
    *(*SMALL, "trainer=cpu", "trainer.max_epochs=3"),
    *("search/pruner=none", RATES, DROPOUT),
)


TWO = ("hydra/launcher=local", "hydra.launcher.slots=2")


@pytest.fixture
def drawn():
    """Has pictures of what is found be drawn, which a test is to look at."""


@pytest.fixture(autouse=True)
def _undrawn(request, monkeypatch):
    if "drawn" not in request.fixturenames:
        draw_nothing(monkeypatch.setattr)
