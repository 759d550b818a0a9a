"""Whatever a file of a run holds, who reads it has an answer or one line, and never an error."""

import io
import json
import pickle
import shutil
import zipfile
from dataclasses import asdict

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from rich.console import Console

from reslab.config import places
from reslab.jobs.queued import Queued
from reslab.progress import Progress
from reslab.runs import checkpoint as files
from reslab.runs.again import again
from reslab.runs.checkpoint import LatestCheckpoint
from reslab.runs.control import request_to_repeat, resume_command
from reslab.runs.diff import diff
from reslab.runs.history import METRICS
from reslab.runs.load import load_best, load_checkpoint, load_latest
from reslab.runs.repeat import Repeat
from reslab.runs.store import RunDirectory, list_runs
from reslab.search import summary
from reslab.studio import curves
from reslab.studio.entries import Entry, Queue
from reslab.studio.history import history
from reslab.studio.queue import Queues
from reslab.studio.scan import Scan
from reslab.studio.searches import _line
from reslab.terminal.runs import print_runs
from reslab.terminal.watch import _drawn
from searched import DEEP, TEXTS, damaged, examples, spoilt_json, told
from studio import trial, write_run, write_search
from training import only_run

COLUMNS = ("epoch", "step", "lr", *METRICS, "train_seconds", "seconds")
NAME = "digits-plaincnn-s0-00000000"


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a finished run, of which each file is whole."""
    folder = tmp_path_factory.mktemp("runs")
    run = write_run(folder, NAME, test=0.9)
    rows = [f"{epoch},{19 * epoch},0.1,0.5,0.5,0.5,0.{epoch},50,60" for epoch in (1, 2)]
    (run / "metrics.csv").write_text("\n".join([",".join(COLUMNS), *rows, ""]))
    progress = Progress(1, 3, 2, 19, 0.1, 2.5, 0.1, 100.0, 30.0, [(1, 2.5), (2, 2.25)])
    progress.write(run / "progress.json")
    (run / "gradients.csv").write_text("epoch,layer,path,norm\n0,stem,main,0.5\n1,stem,skip,1\n")
    Queued("cluster", "user", "name", 0, "output").write(RunDirectory(run))
    RunDirectory(run).write_predictions(
        np.eye(3, dtype=np.float16), np.arange(3), ("one", "two", "three")
    )
    return folder


@pytest.fixture(scope="module")
def spoilt(runs, tmp_path_factory):
    """Puts content into a file of an unfinished or finished copy of the run."""
    folder = tmp_path_factory.mktemp("spoilt")
    run = RunDirectory(shutil.copytree(runs / NAME, folder / NAME))
    whole = {path.name: path.read_bytes() for path in run.path.iterdir() if path.is_file()}

    def spoil(name: str, content: bytes, *, leave_out: str = "") -> RunDirectory:
        for other, kept in whole.items():
            (run.path / other).write_bytes(content if other == name else kept)
        if leave_out:
            (run.path / leave_out).unlink()
        return run

    return spoil


def whole_json(runs, name):
    return json.loads((runs / NAME / name).read_text())


def read_everywhere(run: RunDirectory, whole: RunDirectory) -> None:
    """What lists, commands and the studio read of a run."""
    for read in (run.request, run.record, run.config, run.kept_config, run.predictions):
        told(read)
    run.why(), run.state(), Queued.read(run)
    told(Repeat.read, run)
    told(diff, run, whole)
    told(diff, whole, run)
    request = told(request_to_repeat, run, "it")
    if not isinstance(request, str):
        assert all(isinstance(word, str) for word in resume_command(run, request))
    print_runs(list_runs(run.path.parent), run.path.parent)
    for state in ("running", "interrupted"):
        shown = Console(file=io.StringIO(), width=160)
        shown.print(_drawn([run], {str(run.path): state}, 160))
    scan = Scan(run.path.parent)
    json.dumps(scan.changes())
    scan.records()
    known = scan.known(NAME)
    if known is not None:
        curves.columns(known)
    curves.batches(run)
    curves.gradients(run)


JSON = ["request.json", "metrics.json", "progress.json", "job.json"]


@pytest.mark.slow
@pytest.mark.parametrize("name", JSON)
def test_json_of_a_run(name, runs, spoilt):
    @examples(25)
    @given(spoilt_json(whole_json(runs, name)), st.booleans())
    @example(DEEP[0], True)
    def check(content, finished):
        leave_out = "" if finished or name == "metrics.json" else "metrics.json"
        read_everywhere(spoilt(name, content, leave_out=leave_out), RunDirectory(runs / NAME))

    check()


TABLES = st.sampled_from([b"epoch\n", b"epoch,seconds\n1,1e999\n", b'"\n' * 50, b"\0,\0\n1,2\n"])


@pytest.mark.parametrize("name", ["metrics.csv", "gradients.csv", "config.yaml", "predictions.npz"])
def test_other_files_of_a_run(name, runs, spoilt):
    whole = (runs / NAME / name).read_bytes()

    @examples(25)
    @given(damaged(whole) | st.binary(max_size=80) | TABLES, st.booleans())
    def check(content, finished):
        leave_out = "" if finished else "metrics.json"
        read_everywhere(spoilt(name, content, leave_out=leave_out), RunDirectory(runs / NAME))

    check()


YAML = st.sampled_from(
    [
        b"[" * 3_000,
        b"a: &a [x]\nb: *c\n",
        b"a: &a\n  b: *a\n",
        b"? [1, 2]\n: 3\n",
        b"1: 2\ntrue: 3\nnull: 4\n",
        b"dataset: ${model}\nmodel: ${dataset}\n",
        b"model: ${oc.env:HOME}\n",
        b"model: ${nothing:1}\nseed: ???\n",
        b"seed: 0b2\n",
        b"seed: 2001-99-99\n",
        b"seed: !!python/object/apply:os.system [true]\n",
        b"seed: !!binary x\n",
        b"a: &a [0,0]\n"
        + b"".join(b"%c: &%c [*%c,*%c]\n" % (i + 1, i + 1, i, i) for i in range(97, 105)),
        b"seed: 1\nseed: 2\n",
        b"\xff\xfe\x00",
        b"---\na: 1\n---\nb: 2\n",
    ]
)


@pytest.mark.long
def test_a_configuration(runs, spoilt):
    whole = (runs / NAME / "config.yaml").read_bytes()

    @examples(12)
    @given(YAML | damaged(whole))
    def check(content):
        read_everywhere(spoilt("config.yaml", content), RunDirectory(runs / NAME))

    check()


@pytest.mark.long
def test_a_configuration_that_is_asked_again(runs, spoilt):
    """Where its request is gone too, each group's options are composed to find the nearest."""
    whole = (runs / NAME / "config.yaml").read_bytes()

    @examples(4)
    @given(YAML | damaged(whole), st.booleans())
    def check(content, copy):
        run = spoilt("config.yaml", content, leave_out="request.json" if copy else "")
        read_everywhere(run, RunDirectory(runs / NAME))
        told(again, str(run.config_file if copy else run.path), [], run.path.parent)

    check()


def test_a_request_that_is_asked_again(runs, spoilt, monkeypatch):
    monkeypatch.setattr(places, "_own_folders", [])
    asked = whole_json(runs, "request.json")
    lists = st.lists(
        TEXTS | st.sampled_from(["seed=1", "model=x", "a=[", "+b=1", "seed=1,2"]), max_size=3
    )

    @examples(12)
    @given(lists, TEXTS, st.lists(TEXTS, max_size=1))
    def check(overrides, folder, config_dirs):
        content = asked | {"overrides": overrides, "folder": folder, "config_dirs": config_dirs}
        run = spoilt("request.json", json.dumps(content).encode())
        told(again, str(run.path), [], run.path.parent)
        places._own_folders.clear()

    check()


def test_a_queue(tmp_path):
    entry = asdict(Entry(NAME, ("seed=1",), "/", id="1"))
    queues = Queues(tmp_path, set)

    @examples(80)
    @given(spoilt_json(asdict(Queue(1, [])) | {"entries": [entry]}))
    @example(DEEP[0])
    def check(content):
        queues.file.write_bytes(content)
        queue = told(queues.read)
        if not isinstance(queue, str):
            for one in queue.entries:
                one.cell(tmp_path), one.is_alive(tmp_path)
            told(queues.set_order, ["1"])
            told(queues.take_out, ["0"])

    check()


def test_a_search(tmp_path):
    folder = write_search(tmp_path, "one", [trial(0, value=0.5), trial(1, "failed", reason="x")])
    whole = json.loads((folder / summary.RECORD).read_bytes())

    @examples(80)
    @given(spoilt_json(whole))
    @example(DEEP[0])
    def check(content):
        (folder / summary.RECORD).write_bytes(content)
        summary._read.cache_clear()
        json.dumps(_line(folder))
        read = told(summary.read, folder)
        if not isinstance(read, str):
            read.best_first, summary.state(folder, read)
            json.dumps(history(read, {one.number: "" for one in read.trials}))

    check()


def sealed(payload: bytes) -> bytes:
    """A checkpoint whose digest is right, whatever it holds: as a stranger may write it."""
    return payload + files.TRAILER + files.hashlib.sha256(payload).digest()


def zipped(pickled: bytes, **others: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in {"data.pkl": pickled, "version": b"3", **others}.items():
            archive.writestr(f"archive/{name}", content)
    return buffer.getvalue()


def as_torch(content) -> bytes:
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


KINDS = st.recursive(
    st.none()
    | st.integers()
    | st.floats()
    | TEXTS
    | st.just(torch.zeros(2))
    | st.binary(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(
            st.sampled_from(["reslab", "state_dict", "optimizer_states", "x", 1]), inner
        )
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def best(trained):
    return (only_run(trained) / "checkpoints/best.ckpt").read_bytes()[: -files.TRAILER_SIZE]


def test_a_checkpoint_that_a_stranger_made(trained, best, tmp_path):
    run = RunDirectory(shutil.copytree(only_run(trained), tmp_path / "run"))
    saved = torch.load(io.BytesIO(best), weights_only=True)

    @examples(25)
    @given(
        damaged(best)
        | st.binary(max_size=60)
        | damaged(pickle.dumps({"a": [1, "b"]}, 2)).map(zipped)
        | st.binary(max_size=40).map(zipped)
        | KINDS.map(as_torch)
        | KINDS.map(lambda value: as_torch({"reslab": value, "state_dict": {}}))
        | KINDS.map(lambda value: as_torch(saved | {"state_dict": value})),
        st.booleans(),
    )
    def check(payload, is_sealed):
        content = sealed(payload) if is_sealed else payload
        for path in (run.best, run.latest.last, run.latest.previous):
            path.write_bytes(content)
        told(files.load, run.best)
        told(LatestCheckpoint(run.checkpoints).load)
        told(load_best, run)
        told(load_latest, run)
        told(load_checkpoint, run.best)

    check()
