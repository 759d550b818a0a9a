"""The commands of the README and of its pages, run in the order in which they give them."""

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from PIL import Image

from conftest import REPOSITORY
from pages import BLOCKS, COMMANDS, FILES
from processes import Finished, run
from reslab.analyze.kinds import KINDS, settings_of
from reslab.bench.compare import parse_request
from reslab.cli import cli
from reslab.config import compose, list_options, parse_overrides
from reslab.runs.check import check
from reslab.search.plan import plan as plan_search
from training import SMALL

SHORTENED = [
    "trainer.max_epochs=1",
    "+trainer.limit_train_batches=2",
    "+trainer.limit_val_batches=1",
    *SMALL,
]
ON_DIGITS = (
    "analyze",
    "capsule",
    "doctor",
    "flow",
    "runs",
    "search",
    "summary",
    "diff",
    "verify",
    "predict",
    "evaluate",
    "export",
)


def environment() -> dict[str, str]:
    """As after `source .venv/bin/activate`."""
    folder = Path(sys.executable).parent
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def call(command: list[str], cwd: Path, **how) -> Finished:
    assert command[0] == "reslab"
    done = run(cwd, *command[1:], **how)
    assert done.code == 0, f"{command}:\n{done.out}{done.err}"
    return done


@pytest.mark.long
def test_the_commands_on_the_embedded_digits_run(tmp_path, monkeypatch, capsys):
    """Those that train on the digits, and those that need no data, just as they stand, but for `bench`."""
    for path, content in FILES.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content)
    for name in ("photo.png", "pictures/3/a.png", "pictures/7/b.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (8, 8), 128).save(tmp_path / name)
    shutil.copytree(REPOSITORY / "outputs/reference", tmp_path / "outputs/reference")
    exported: dict[str, str] = {}
    own: list[str] = []
    for line in COMMANDS:
        words = shlex.split(line)
        if words[0] == "export":
            exported = dict(word.split("=", 1) for word in words[1:])
        elif "--config-dir" in words:
            own.append(call(words, tmp_path, **exported).out)
        elif words[0] == "tensorboard":
            watch(words, tmp_path)
        elif words[:2] == ["reslab", "studio"]:
            visit(words, tmp_path)
        elif words[1:2] == ["bench"]:  # measured with a smaller network in test_bench
            parse_request(words[3:])
        elif words[1:2] == ["selftest"]:  # run by test_selftest, with real kills
            check(compose(words[2:]))
        elif (words[0] == "reslab" and words[1] in ON_DIGITS) or (
            {"dataset=digits", "--from"} & set(words) and words[1] == "train"
        ):
            done = call(words, tmp_path)
            if words[1:] == ["runs"]:
                assert done.out.count("finished") == 4  # one of the sweep was run before
    assert len(own) == 3
    assert "parameters: 682" in own[0].splitlines()
    assert (tmp_path / "outputs/resnet18.png").stat().st_size > 10_000
    python_blocks = [block for kind, block in BLOCKS if kind == "python"]
    (python,) = [block for block in python_blocks if block not in FILES.values()]
    monkeypatch.chdir(tmp_path)
    exec(python, {})
    assert "('0', '1', '2'" in capsys.readouterr().out


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def watch(words: list[str], cwd: Path) -> None:
    """TensorBoard lists the runs of the sweep by their directories' names."""
    port = free_port()
    server = subprocess.Popen(
        [*words, "--port", str(port), "--host", "127.0.0.1"],
        cwd=cwd,
        env=environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        url = f"http://127.0.0.1:{port}/data/runs"
        names, expected = set(), {path.name for path in cwd.glob("outputs/runs/*") if path.is_dir()}
        deadline = time.monotonic() + 60
        while names != expected and time.monotonic() < deadline:
            time.sleep(0.5)
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    names = set(json.load(answer))
            except OSError:
                continue
        assert names == expected
        assert len(expected) == 4
    finally:
        server.terminate()
        server.wait()


def visit(words: list[str], cwd: Path) -> None:
    """The studio's address, as it is printed, shows the runs that are there."""
    port = free_port()
    command = [sys.executable, "-m", *words, "--no-browser", "--port", str(port)]
    where = environment() | {"XDG_STATE_HOME": str(cwd)}
    with subprocess.Popen(command, cwd=cwd, env=where, stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            address = server.stderr.readline().split()[-1]
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            assert b"reslab" in opener.open(address, timeout=10).read()
            told = json.load(opener.open(f"http://127.0.0.1:{port}/api/runs", timeout=10))
            names = {one["name"] for one in told["lines"]}
            assert {path.parent.name for path in cwd.glob("outputs/runs/*/config.yaml")} <= names
        finally:
            server.terminate()


@pytest.mark.long
def test_the_commands_on_the_real_data_run_shortened(tmp_path, data_dir):
    seen = 0
    for line in dict.fromkeys(COMMANDS):
        words = shlex.split(line)
        if words[0] != "reslab" or {"dataset=digits", "--config-dir", "--from"} & set(words):
            continue
        if words[1] == "data":
            call([*words, f"data_dir={data_dir}"], tmp_path)
        elif words[1] in ("train", "reproduce", "table"):
            # The test set is not shortened, so the network is small; a table's rows are one run.
            seed = ["seed=0"] if words[1] != "train" else []
            quick = [*SHORTENED, *seed]
            again = words[1] == "table" or "hydra/launcher=local" in words  # it is drawn by then
            how = {"kill": ("undrawn", 1)} if again else {}
            call([*words, f"data_dir={data_dir}", *quick], tmp_path, **how)
        else:
            continue
        seen += 1
    assert seen == 11


@pytest.mark.parametrize(
    "line", dict.fromkeys(one for one in COMMANDS if one.startswith("reslab "))
)
def test_what_a_command_asks_for_is_there(line, in_empty_folder):
    """Its options, and of what a run is asked all keys and choices; nothing is run."""
    for path, content in FILES.items():
        (in_empty_folder / path).parent.mkdir(parents=True, exist_ok=True)
        (in_empty_folder / path).write_text(content)
    _, name, *words = shlex.split(line)
    asked = cli.commands[name].make_context(name, [*words]).params
    if name == "analyze":
        kind = next(word for word in words if word in KINDS)
        settings_of(kind, words[words.index(kind) + 1 :])
    elif name == "bench":
        parse_request(words[1:])
    elif name == "search":
        plan_search(words)
    elif name in ("train", "reproduce", "summary", "selftest", "flow"):
        assert name != "reproduce" or asked["table"] in list_options("table")
        keys = parse_overrides([one for one in words if "=" in one])
        compose([f"{key}={values[0]}" for key, _, values in keys if not key.startswith("hydra")])


def test_every_command_is_run_by_some_test():
    """Anything new on the pages must be one of the kinds that are run above or by the demo."""
    kinds = {" ".join(shlex.split(line)[:2]) for line in COMMANDS}
    assert kinds == {
        "make demo",
        "make test",
        "make test-all",
        "source .venv/bin/activate",
        "reslab train",
        "reslab data",
        "reslab doctor",
        "reslab selftest",
        "reslab summary",
        "reslab search",
        "reslab reproduce",
        "reslab table",
        "reslab runs",
        "reslab capsule",
        "reslab bench",
        "reslab predict",
        "reslab analyze",
        "reslab flow",
        "reslab evaluate",
        "reslab export",
        "reslab verify",
        "reslab diff",
        "reslab studio",
        "tensorboard --logdir",
        "export PYTHONPATH=.",
    }


def test_the_demo_command_is_the_readme_s():
    done = subprocess.run(
        ["make", "-n", "demo"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert any(line.split("/")[-1] in COMMANDS for line in done.stdout.splitlines())
