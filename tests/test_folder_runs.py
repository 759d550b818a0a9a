"""Runs on a folder of pictures, from training to the table; and its page, as it stands."""

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from pages import YOUR_PICTURES, blocks, commands, files
from processes import run, run_undrawn
from training import EVERY_STEP, EXACT, SMALL, assert_same_results, only_run

pytestmark = pytest.mark.slow

ASKED = ("dataset=folder", "dataset.root=digits", "dataset.size=16")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A folder with 600 digits and the run that was trained on them, never stopped."""
    folder = tmp_path_factory.mktemp("whole")
    digits = load_digits()
    for at, (pixels, label) in enumerate(zip(digits.images[:600], digits.target)):
        file = folder / f"digits/{label}/{at:04}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.uint8(pixels * 255 / 16)).save(file)
    (folder / "digits/loose.png").write_bytes((folder / "digits/0/0000.png").read_bytes())
    finished = run(folder, *EXACT, *ASKED)
    assert finished.code == 0, finished.err
    assert "warning: left out, not in a class's folder: 1\n  digits/loose.png\n" in finished.err
    (folder / "digits/loose.png").unlink()
    return folder


@pytest.mark.long
def test_a_killed_run_goes_on_from_anywhere_and_ends_as_if_it_had_not_been(whole, tmp_path):
    begun = tmp_path / "begun"
    begun.mkdir()
    (begun / "digits").symlink_to(whole / "digits")
    assert run(begun, *EXACT, *ASKED, EVERY_STEP, kill=("step", 20)).killed
    resumed = run(tmp_path / "elsewhere", "resume", str(only_run(begun)))
    assert resumed.code == 0, resumed.err
    assert "resuming at step" in resumed.err
    assert_same_results(only_run(begun), only_run(whole))
    assert only_run(begun).name == only_run(whole).name
    assert only_run(whole).name.startswith("digits-baseline_cnn-s0-")


@pytest.mark.long
def test_a_run_whose_folder_moved_is_found_evaluated_exported_and_used(whole, tmp_path):
    name, record = only_run(whole).name, json.loads((only_run(whole) / "metrics.json").read_text())
    (tmp_path / "outputs").symlink_to(whole / "outputs")
    (tmp_path / "moved").mkdir()
    (whole / "digits").rename(tmp_path / "moved/digits")
    try:
        again = run(tmp_path, *EXACT, *ASKED[::2], "dataset.root=moved/digits")
        assert f"{name}: finished" in again.out
        gone = run(tmp_path, "evaluate", "digits").error_line()
        assert "dataset.root=" in gone and "there is no such folder (" in gone  # noqa: PT018
        assert "--data-dir" in gone
        moved = ("--data-dir", "moved/digits")
        evaluated = run(tmp_path, "evaluate", "digits", *moved, "--output", "evaluated")
        assert f"accuracy {record['test/accuracy']:.2%} of 60," in evaluated.out, evaluated.err
        assert (tmp_path / "evaluated" / name / "dashboard.html").stat().st_size > 100_000
        exported = run(tmp_path, "export", "digits", *moved, "--output", "exported")
        assert "on 60 test images: the same answers" in exported.out, exported.err
        card = (tmp_path / "exported" / name / "model.onnx.md").read_text()
        assert "A network that tells 10 classes of digits apart" in card
        predicted = run(tmp_path, "predict", "digits", "moved/digits", "--labels", "folders")
        assert predicted.code == 0, predicted.err
        (line,) = [one for one in predicted.out.splitlines() if one.startswith("accuracy ")]
        assert float(line.split("%")[0].removeprefix("accuracy ")) > 50
        assert "of 600," in line
    finally:
        (tmp_path / "moved/digits").rename(whole / "digits")


def test_a_table_on_a_folder_names_it_and_not_where_it_lies(whole):
    asked = (*ASKED, "max_steps=2", "logger=none", "seed=0", *SMALL)
    table = run_undrawn(whole, "reproduce", "resnet3", *asked)
    assert table.code == 0, table.err
    text = (whole / "outputs/tables/resnet3/digits/table.md").read_text()
    assert "ours are for digits, another data set" in text
    assert "dataset=folder" in text
    assert "dataset.root" not in text
    done = run_undrawn(whole, "table", "resnet3", *asked)
    assert done.code == 0, done.err
    assert "missing" not in (whole / "outputs/tables/resnet3/digits/table.md").read_text()


@pytest.mark.long
def test_the_commands_of_its_page_run_as_they_stand(tmp_path):
    code = blocks(YOUR_PICTURES)
    for name, content in files(code).items():
        (tmp_path / name).write_text(content)
    said = []
    for line in commands(code):
        words = shlex.split(line)
        if words[0] == "python":
            subprocess.run([sys.executable, *words[1:]], cwd=tmp_path, check=True)
        else:
            assert words[0] == "reslab"
            done = run(tmp_path, *words[1:])
            assert done.code == 0, done.err
            said.append(done.out)
    assert len(list(tmp_path.glob("my_digits/*/*.png"))) == 1797
    assert said[0].startswith("my_digits: verified; 1,439 training, 179 validation, 179 test")
    names = {path.parent.name.rpartition("-s0")[0] for path in tmp_path.rglob("metrics.json")}
    assert names == {
        "my_digits-mini_resnet",
        "my_digits-resnet20",
        "my_digits-resnet20-nojoin",
    }
