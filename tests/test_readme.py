"""The README's commands, run in the order in which it gives them, and its table."""

import json
import os
import re
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
from processes import Finished, run
from reslab.bench.compare import parse_request
from reslab.bench.report import insert_benchmarks
from reslab.config import list_options
from reslab.tables.render import markdown

README = (REPOSITORY / "README.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", README, re.DOTALL)
COMMANDS = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
# Blocks that are files: a comment with the path stands at their head.
FILES = {
    found[1]: block
    for _, block in BLOCKS
    if (found := re.match(r"(?:# @package \S+\n)?# (\S+\.(?:py|yaml))\n", block))
}
SHORTENED = [
    "trainer.max_epochs=1",
    "+trainer.limit_train_batches=2",
    "+trainer.limit_val_batches=1",
]


REFERENCE = REPOSITORY / "outputs/reference"
DEMO = ("liu_goh", "dataset=digits", "seed=0,1", "trainer.max_epochs=3")
KEPT = {
    DEMO: "liu_goh/digits",
    ("liu_goh",): "liu_goh/cifar10",
    ("system",): "system/mnist+cifar10",
}
ON_DIGITS = ("runs", "summary", "diff", "verify", "predict", "evaluate", "export")


def environment() -> dict[str, str]:
    """As after `source .venv/bin/activate`."""
    folder = Path(sys.executable).parent
    return os.environ | {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}"}


def call(command: list[str], cwd: Path) -> Finished:
    assert command[0] == "reslab"
    done = run(cwd, *command[1:])
    assert done.code == 0, f"{command}:\n{done.out}{done.err}"
    return done


@pytest.mark.slow
def test_the_commands_on_the_embedded_digits_run(tmp_path):
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
            env = environment() | exported
            done = subprocess.run(words, cwd=tmp_path, env=env, capture_output=True, text=True)
            assert done.returncode == 0, f"{line}:\n{done.stdout}{done.stderr}"
            own.append(done.stdout)
        elif words[0] == "tensorboard":
            watch(words, tmp_path)
        elif words[1:2] == ["bench"]:  # measured with a smaller network in test_bench
            parse_request(words[3:])
        elif (words[0] == "reslab" and words[1] in ON_DIGITS) or (
            "dataset=digits" in words and words[1] == "train"
        ):
            done = call(words, tmp_path)
            if words[1:] == ["runs"]:
                assert done.out.count("finished") == 4  # one of the sweep was run before
    assert len(own) == 3
    assert "parameters: 682" in own[0].splitlines()
    assert (tmp_path / "outputs/resnet18.png").stat().st_size > 10_000
    python_blocks = [block for kind, block in BLOCKS if kind == "python"]
    (python,) = [block for block in python_blocks if block not in FILES.values()]
    command = [sys.executable, "-c", python]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "('0', '1', '2'" in done.stdout, done.stderr


def watch(words: list[str], cwd: Path) -> None:
    """TensorBoard lists the runs of the sweep by their directories' names."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
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


@pytest.mark.slow
def test_the_commands_on_the_real_data_run_shortened(tmp_path, data_dir):
    seen = 0
    for line in COMMANDS:
        words = shlex.split(line)
        if words[0] != "reslab" or {"dataset=digits", "--config-dir"} & set(words):
            continue
        if words[1] == "data":
            call([*words, f"data_dir={data_dir}"], tmp_path)
        elif words[1] in ("train", "reproduce", "table"):
            # The test set is not shortened, so the network is small; a table's rows are one run.
            seed = ["seed=0"] if words[1] != "train" else []
            quick = [*SHORTENED, "model=baseline_cnn", *seed]
            call([*words, f"data_dir={data_dir}", *quick], tmp_path)
        else:
            continue
        seen += 1
    assert seen == 6


def test_every_command_is_run_by_some_test():
    """Anything new in the README must be one of the kinds that are run above or by the demo."""
    kinds = {" ".join(shlex.split(line)[:2]) for line in COMMANDS}
    assert kinds == {
        "make demo",
        "make test",
        "source .venv/bin/activate",
        "reslab train",
        "reslab data",
        "reslab summary",
        "reslab reproduce",
        "reslab table",
        "reslab runs",
        "reslab bench",
        "reslab predict",
        "reslab evaluate",
        "reslab export",
        "reslab verify",
        "reslab diff",
        "tensorboard --logdir",
        "export PYTHONPATH=.",
    }


@pytest.mark.slow
@pytest.mark.parametrize("table", KEPT, ids=KEPT.get)
def test_the_committed_records_are_whole_and_give_the_committed_table(table, tmp_path):
    """Records are what they were when they were kept; rendered anew, they are the README's rows."""
    shutil.copytree(REFERENCE, tmp_path / "outputs/reference")
    verified = call(["reslab", "verify", *table], tmp_path)
    records = list((REFERENCE / KEPT[table] / "runs").iterdir())
    assert len(re.findall(r"PASS +MISSING", verified.out)) == len(records) > 0
    call(["reslab", "table", *table, "--reference", "--output", "fresh"], tmp_path)
    fresh, committed = (folder / KEPT[table] for folder in (tmp_path / "fresh", REFERENCE))
    for name in ("table.csv", "macros.tex"):
        assert (fresh / name).read_text() == (committed / name).read_text()
    rows = [
        [line for line in (folder / "table.md").read_text().splitlines() if line.startswith("|")]
        for folder in (fresh, committed)
    ]
    assert rows[0] == rows[1]
    contents = [json.loads((folder / "table.json").read_text()) for folder in (fresh, committed)]
    assert contents[0]["pairs"] == contents[1]["pairs"]


def test_a_table_without_records_is_said_to_be_not_yet_run():
    said = dict(re.findall(r"^\| `(\w+)` \| .* \| (above|not yet run) \|$", README, re.MULTILINE))
    kept = {path.name for path in REFERENCE.iterdir() if list(path.glob("*/runs/*"))}
    assert said == {t: "above" if t in kept else "not yet run" for t in list_options("table")}


def test_the_demo_command_is_the_readme_s():
    done = subprocess.run(
        ["make", "-n", "demo"], cwd=REPOSITORY, capture_output=True, text=True, check=True
    )
    assert any(line.split("/")[-1] in COMMANDS for line in done.stdout.splitlines())


def test_the_tables_are_the_rendered_ones_and_pictures_are_there():
    tables = re.findall(r"<!-- table (\S+) -->\n(.*?)<!-- end -->", README, re.DOTALL)
    assert len(tables) == 3
    for path, table in tables:
        assert table == (REPOSITORY / path).read_text()
        content = json.loads((REPOSITORY / path).with_suffix(".json").read_text())
        assert markdown(content) == table
        for row in content["rows"]:
            shown = "missing"
            if row["n"]:
                shown = f"{row['accuracy']:.2f}"
            if row["n"] > 1:
                shown += f" ± {row['std']:.2f}"
            assert f"| {row['model']} | {shown} |" in table
    for picture in re.findall(r"!\[[^]]*\]\(([^)]+)\)", README):
        assert (REPOSITORY / picture).is_file()


def test_the_benchmarks_are_those_of_the_records(tmp_path):
    copy = tmp_path / "README.md"
    copy.write_text(
        re.sub(
            r"<!-- bench -->.*?<!-- end -->", "<!-- bench --><!-- end -->", README, flags=re.DOTALL
        )
    )
    insert_benchmarks(copy, REPOSITORY / "outputs/reference/bench")
    assert copy.read_text() == README


def test_git_tracks_every_source_and_configuration():
    ignored = subprocess.run(
        ["git", "ls-files", "--others", "--ignored", "--exclude-standard", "src", "conf", "tests"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    ).stdout.splitlines()
    assert [name for name in ignored if not re.search(r"__pycache__|egg-info", name)] == []


def test_no_file_names_a_package_registry_or_a_path_of_a_machine():
    tracked = subprocess.run(
        ["git", "ls-files"], cwd=REPOSITORY, capture_output=True, text=True
    ).stdout.splitlines()
    if not tracked:
        pytest.skip("not a git checkout")
    registry = re.compile("py" + r"pi\.org|python" + r"hosted|/simp" + "le/")
    for name in tracked:
        content = (REPOSITORY / name).read_bytes().decode(errors="ignore")
        assert not registry.search(content), name
        if name != ".ci/run":
            assert "../sha" + "red" not in content, name
