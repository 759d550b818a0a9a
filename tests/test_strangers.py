"""Configurations and archives that strangers made to do harm: nothing of theirs is run."""

import functools
import hashlib
import http.server
import io
import json
import os
import pickle
import re
import shlex
import subprocess
import sys
import tarfile
import threading
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from omegaconf import OmegaConf
from torchvision.datasets import CIFAR10
from torchvision.datasets.utils import download_and_extract_archive

from processes import run
from reslab.config import compose, instantiate
from reslab.data import TorchvisionSource
from reslab.data.archives import refuse_what_leads_out
from reslab.errors import UserError
from reslab.runs import control
from reslab.runs.request import Request
from reslab.runs.store import RunDirectory
from reslab.studio.queue import Queues

EVIL = "import pathlib\npathlib.Path({proof!r}).touch()\nclass Evil:\n    pass\n"


@pytest.fixture
def evil(tmp_path, monkeypatch):
    """A module that leaves a trace once it is imported, and where it leaves that."""
    proof = tmp_path / "proof"
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "evil.py").write_text(EVIL.format(proof=str(proof)))
    (folder / "evil_package").mkdir()
    (folder / "evil_package/__init__.py").write_text(EVIL.format(proof=str(proof)))
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    yield proof
    subprocess.run([sys.executable, "-c", "import evil"], check=True)
    assert proof.exists(), "it could have been imported"


@pytest.mark.parametrize(
    ("field", "target"),
    [
        *(("model", target) for target in ("evil.Evil", "evil_package.Evil", "os.system")),
        *((field, "evil.Evil") for field in ("optimizer.schedule", "dataset.source", "logger")),
    ],
)
def test_what_a_field_names_is_neither_imported_nor_called(field, target, evil, tmp_path):
    cfg = compose([f"++{field}._target_={target}", f"++{field}.command='touch {evil}'"])
    with pytest.raises(UserError, match=f"_target_={target} is not allowed"):
        instantiate(cfg, field)
    assert not evil.exists()


@pytest.fixture
def stranger_s(tmp_path, monkeypatch):
    """An interrupted run that somebody else has sent, and what its resumption would start."""
    run = RunDirectory(tmp_path / "outputs/runs/sent")
    run.path.mkdir(parents=True)
    run.failure_file.write_text("the reason")
    started = []
    monkeypatch.setattr(control, "_run", lambda *asked: started.append(asked) or 0)

    def ask(**variables):
        request = replace(Request.here([], None), folder=str(tmp_path), variables=variables)
        request.write(run.request_file)
        return run

    return ask, started


def test_a_stranger_s_run_has_no_code_found_or_loaded(stranger_s, monkeypatch):
    ask, started = stranger_s
    monkeypatch.setenv("PYTHONPATH", "mine")
    monkeypatch.setenv("RESLAB_TARGETS", "also_mine")
    harm = {
        "PYTHONPATH": "evil",
        "LD_PRELOAD": "evil.so",
        "PYTHONSTARTUP": "evil.py",
        "PATH": "evil",
    }
    assert control.resume(ask(**harm, OMP_NUM_THREADS="3")) == 0
    ((_, _, environment),) = started
    assert not set(harm.items()) & set(environment.items())
    assert environment["PYTHONPATH"] == "mine"
    assert environment["OMP_NUM_THREADS"] == "3"
    assert "RESLAB_TARGETS" not in environment, "it was begun without"


@pytest.mark.parametrize("path", [None, "evil", "a folder/evil"])
@pytest.mark.parametrize("ours", [{}, {"PYTHONPATH": "evil"}, {"RESLAB_TARGETS": "evil"}])
def test_who_goes_on_with_code_of_its_own_says_so(stranger_s, monkeypatch, path, ours):
    ask, started = stranger_s
    for name in ("PYTHONPATH", "RESLAB_TARGETS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ours.items():
        monkeypatch.setenv(name, value)
    needed = {"RESLAB_TARGETS": "evil"} | ({"PYTHONPATH": path} if path else {})
    run = ask(**needed)
    if ours != needed:
        with pytest.raises(UserError, match="runs code of its own: if you trust it") as refused:
            control.resume(run)
        assert not started
        typed = re.search(r"put (.*) before the command", str(refused.value))[1]
        given = dict(one.partition("=")[::2] for one in shlex.split(typed))
        assert given == {"RESLAB_TARGETS": "evil", "PYTHONPATH": path or ""}
        for name, value in needed.items():
            monkeypatch.setenv(name, value)
        if not path:
            monkeypatch.delenv("PYTHONPATH", raising=False)
    assert control.resume(run) == 0
    ((_, _, environment),) = started
    assert needed.items() <= environment.items()


def test_a_stranger_s_queue_has_no_code_found_or_loaded(tmp_path):
    queues = Queues(tmp_path, set)
    entry = {"name": "sent", "overrides": [], "folder": str(tmp_path), "threads": "3"}
    queues.file.write_text(json.dumps({"entries": [entry | {"variables": {"LD_PRELOAD": "evil"}}]}))
    (one,) = queues.read().entries
    assert one.cell(tmp_path).variables == {"OMP_NUM_THREADS": "3", "PYTHONSAFEPATH": "1"}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["yaml.py", "reslab/__init__.py"])
def test_no_module_is_found_in_the_folder_that_a_stranger_s_run_names(name, stranger_s, tmp_path):
    ask, started = stranger_s
    proof = tmp_path / "proof"
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text(EVIL.format(proof=str(proof)))
    control.resume(ask())
    ((command, folder, environment),) = started
    assert command[1:4] == ["-m", "reslab", "train"]
    for variables, is_found in (
        (environment, False),
        ({**environment, "PYTHONSAFEPATH": ""}, True),
    ):
        version = [*command[:3], "runs", "--runs-dir", "none"]
        subprocess.run(version, cwd=folder, env=variables, capture_output=True)
        assert proof.exists() == is_found


@pytest.mark.parametrize(
    ("field", "target", "options"),
    [
        ("model", "torchvision.datasets.MNIST", {"root": "there", "download": True}),
        ("model", "lightning.pytorch.Trainer", {}),
        ("model", "reslab.studio.worker.Worker", {}),
        ("optimizer", "reslab.data.FolderData", {"root": "there"}),
        ("dataset", "reslab.nn.PlainCNN", {}),
        ("logger", "torchvision.datasets.MNIST", {"root": "there", "download": True}),
    ],
)
def test_what_one_field_may_be_another_may_not(field, target, options, in_empty_folder):
    cfg = OmegaConf.create({field: {"_target_": target, **options}})
    with pytest.raises(UserError, match=f"{field}._target_={target} is not allowed"):
        instantiate(cfg, field)
    assert not list(in_empty_folder.iterdir())


class Payload:
    """Leaves a trace where it is unpickled."""

    def __init__(self, proof):
        self.proof = proof

    def __reduce__(self):
        return type(self.proof).touch, (self.proof,)


@pytest.mark.parametrize("official", [(), ("batches.meta", "test_batch")])
def test_pickles_for_which_a_stranger_s_digests_vouch_are_not_read(official, tmp_path):
    """Wherever these come from, a configuration or a checkpoint; some may be the official ones."""
    folder, proof = tmp_path / "cifar-10-batches-py", tmp_path / "proof"
    folder.mkdir()
    shipped = dict(compose(["dataset=cifar10"]).dataset.source.files)
    files = dict(shipped)
    for name in files:
        (tmp_path / name).write_bytes(pickle.dumps(Payload(proof)))
        if Path(name).name not in official:
            digest = hashlib.sha256((tmp_path / name).read_bytes()).hexdigest()
            files[name] = f"sha256:{digest}"
    with pytest.raises(UserError, match="corrupted"):
        TorchvisionSource(CIFAR10, files, {}).load(tmp_path)
    elsewhere = {f"other/{name}": digest for name, digest in shipped.items()}  # which are right
    with pytest.raises(UserError, match="corrupted"):
        TorchvisionSource(CIFAR10, files | elsewhere, {}).load(tmp_path)
    assert not proof.exists()
    pickle.loads((folder / "data_batch_1").read_bytes())
    assert proof.exists(), "it could have been left"


# Commands that are to refuse it besides a sweep: they ask the same of all that they are given.
OTHERS = {
    "model._target_=evil.Evil": [["train"]],
    "+hydra.callbacks.x._target_=evil.Evil": [["reproduce", "liu_goh", "dataset=digits"]],
    "hydra/job_logging=theirs": [["train"]],
    "+hydra.job.env_set.RESLAB_TARGETS=evil": [["reproduce", "liu_goh", "dataset=digits"]],
    "recipe=theirs": [["train"]],
    "recipe=theirs_too": [["train"]],
}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "named"),
    [
        ("model._target_=evil.Evil", "model._target_=evil.Evil is not allowed"),
        ("+hydra.callbacks.x._target_=evil.Evil", "hydra.callbacks is not allowed"),
        ("+hydra.callbacks={x:{_target_:evil.Evil}}", "hydra.callbacks is not allowed"),
        ("+hydra.callbacks.x=${hydra.job.env_set}", "hydra.callbacks is not allowed"),
        ("+hydra.job_logging.handlers.x.class=evil.Evil", "hydra.job_logging is not allowed"),
        ("hydra/job_logging=theirs", "hydra.job_logging is not allowed"),
        ("+hydra.hydra_logging.handlers.x.stream=ext://evil.x", "hydra.hydra_logging is not allow"),
        ("+hydra.job.env_set.RESLAB_TARGETS=evil", "hydra.job.env_set is not allowed"),
        ("+hydra.launcher.x={_target_:evil.Evil}", "hydra.launcher.x._target_=evil.Evil is not"),
        ("+hydra.sweeper.x=[{_target_:evil.Evil}]", "hydra.sweeper.x._target_=evil.Evil is not"),
        ("+hydra.launcher.x=${hydra.job.env_set}", "write the value itself"),
        ("hydra.searchpath=[pkg://evil_package]", "packages are not imported"),
        ("recipe=theirs", "hydra.callbacks is not allowed"),
        ("recipe=theirs_too", "hydra.job.env_set is not allowed"),
    ],
)
def test_what_a_command_or_a_file_has_hydra_build_is_not_imported(given, named, evil, tmp_path):
    (tmp_path / "conf/recipe").mkdir(parents=True)
    (tmp_path / "conf/hydra/job_logging").mkdir(parents=True)
    (tmp_path / "conf/hydra/job_logging/theirs.yaml").write_text(
        "handlers: {x: {class: evil.Evil}}"
    )
    (tmp_path / "conf/recipe/theirs_too.yaml").write_text(
        "# @package _global_\nhydra: {job: {env_set: {RESLAB_TARGETS: evil}}}\n"
        "model: {_target_: evil.Evil}\n"
    )
    (tmp_path / "conf/recipe/theirs.yaml").write_text(
        "# @package _global_\nhydra:\n  callbacks:\n    x:\n      _target_: evil.Evil\n"
    )
    commands = [["train", "-m", "seed=0,1"], *OTHERS.get(given, [])]
    for command in commands:
        done = run(tmp_path, *command, "--config-dir", "conf", given, **os.environ)
        assert named in done.err
        assert "Traceback" not in done.err
        assert done.code == 1
        assert not evil.exists()


def test_an_archive_that_is_of_two_kinds_is_looked_through_as_both(tmp_path):
    """One kind's names are good; which is unpacked is told by its name's ending."""
    path = tmp_path / "both.tar.gz"
    member("../evil.txt")(path)
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as good:
        good.writestr("good.txt", "good")
    path.write_bytes(path.read_bytes() + (tmp_path / "good.zip").read_bytes())
    assert zipfile.is_zipfile(path)
    assert tarfile.is_tarfile(path)
    with pytest.raises(UserError, match="leads out"):
        refuse_what_leads_out([path])


def as_tar(add):
    def write(path):
        with tarfile.open(path, "w:gz") as archive:
            inside = tarfile.TarInfo("good.txt")
            inside.size = 4
            archive.addfile(inside, io.BytesIO(b"good"))
            add(archive)

    return write


def member(name, kind=tarfile.REGTYPE, link=""):
    def add(archive):
        one = tarfile.TarInfo(name)
        one.type, one.linkname = kind, link
        one.size = 4 if kind == tarfile.REGTYPE else 0
        archive.addfile(one, io.BytesIO(b"evil") if one.size else None)

    return as_tar(add)


def through_a_link(archive):
    """The link leads out, and the file behind it would be written there."""
    for name, kind in (("way", tarfile.SYMTYPE), ("way/escaped.txt", tarfile.REGTYPE)):
        one = tarfile.TarInfo(name)
        one.type, one.linkname, one.size = kind, "../../..", 4 if name != "way" else 0
        archive.addfile(one, io.BytesIO(b"evil") if one.size else None)


def as_zip(name, mode=0o100644, content="evil"):
    def write(path):
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("good.txt", "good")
            one = zipfile.ZipInfo(name)
            one.external_attr = mode << 16
            archive.writestr(one, content)

    return write


ARCHIVES = {
    "above.tar.gz": member("../../escaped.txt"),
    "absolute.tar.gz": member("/tmp/reslab-escaped.txt"),
    "link.tar.gz": member("good.txt.lnk", tarfile.SYMTYPE, "../../secret"),
    "inner.tar.gz": member("x", tarfile.SYMTYPE, "good.txt"),
    "hard.tar.gz": member("x", tarfile.LNKTYPE, "../../secret"),
    "pipe.tar.gz": member("x", tarfile.FIFOTYPE),
    "through.tar.gz": as_tar(through_a_link),
    "above.zip": as_zip("../../escaped.txt"),
    "windows.zip": as_zip("..\\..\\escaped.txt"),
    "link.zip": as_zip("x", 0o120777, "../../secret"),
}


@pytest.fixture
def address(tmp_path):
    """Where a server on this machine hands out what lies in a folder."""
    folder = tmp_path / "served"
    folder.mkdir()

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    server = http.server.HTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=folder))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield folder, f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def source_of(name, url, archives):
    """A data set of a user's own, whose archive nobody's digest vouches for."""

    class Own:
        def __init__(self, root, train, download=False):
            if download:
                download_and_extract_archive(f"{url}/{name}", root)

    return TorchvisionSource(Own, {"good.txt": None}, archives)


@pytest.mark.parametrize("is_there", [False, True], ids=["fetched", "there"])
@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_that_leads_out_or_has_links_is_refused(name, is_there, address, tmp_path):
    folder, url = address
    ARCHIVES[name](folder / name)
    root = tmp_path / "a/b/data"
    root.mkdir(parents=True)
    (tmp_path / "secret").write_text("a secret")
    archives = {}
    if is_there:
        (root / name).write_bytes((folder / name).read_bytes())
        archives = {name: "sha256:any"}
    source = source_of(name, url, archives)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("reslab.data.sources._verify", lambda *arguments: None)
        with pytest.raises(UserError) as refused:
            source.prepare(root)
    assert "\n" not in str(refused.value)
    assert name in str(refused.value) or "fetching failed" in str(refused.value)
    after = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert set(after) - set(before) <= {root / ".prepare.lock"}
    assert before.items() <= after.items()
    assert not os.path.exists("/tmp/reslab-escaped.txt")


@pytest.mark.parametrize("name", ["good.tar.gz", "good.zip"])
def test_an_archive_of_files_alone_is_unpacked(name, address, tmp_path):
    folder, url = address
    (as_zip("more/x.txt") if name.endswith("zip") else member("more/x.txt"))(folder / name)
    source_of(name, url, {}).prepare(tmp_path / "data")
    assert (tmp_path / "data/good.txt").read_text() == "good"
    assert (tmp_path / "data/more/x.txt").read_text() == "evil"


@pytest.mark.parametrize("name", ["cut.tar.gz", "cut.zip", "rubbish.tar.gz", "rubbish.zip"])
def test_an_archive_that_nobody_vouches_for_and_is_damaged_is_one_line(name, address, tmp_path):
    folder, url = address
    (as_zip("x") if name.endswith("zip") else member("x"))(folder / name)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-30] if "cut" in name else b"rubbish")
    with pytest.raises(UserError, match=r"fetching failed|lacks") as refused:
        source_of(name, url, {}).prepare(tmp_path / "data")
    assert "\n" not in str(refused.value)
