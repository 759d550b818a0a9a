"""A table's capsule: written by one process, spoilt, and checked by another in an empty folder."""

import hashlib
import importlib.metadata
import io
import json
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile
from datetime import date
from urllib.parse import unquote

import numpy as np
import pytest
from rocrate.rocrate import ROCrate

from conftest import REPOSITORY
from processes import run, run_undrawn
from reslab.capsule.check import Checkup, check_capsule
from reslab.capsule.write import write_capsule
from reslab.config import folder_added
from reslab.errors import UserError
from reslab.tables import figures, page
from reslab.tables.plan import load_table
from reslab.tables.verify import Verdict, Verification
from synthetic import ON_DIGITS, compose_once, finish, own_table

pytestmark = pytest.mark.slow

TABLE = """
title: Two networks
seeds: [0, 1]
pairs:
  - [Residual, Plain]
rows:
  - {name: Residual, recipe: he2016/resnet20, published: {accuracy: 91.25}}
  - {name: Plain, recipe: he2016/plain20}
"""
ASKED = ("capsule", "--config-dir", "conf", "own", *ON_DIGITS)
METADATA = "ro-crate-metadata.json"
PLACE = "outputs/reference/own/digits"
RUN = f"{PLACE}/runs/plain-s1"


def read(path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as file:
        return {name: file.read(name) for name in file.namelist()}


def write(path, files):
    with zipfile.ZipFile(path, "w") as file:
        for name, content in files.items():
            file.writestr(name, content)
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the finished runs of a table and its capsule without pictures, `own.zip`."""
    folder = tmp_path_factory.mktemp("capsule")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        own_table(folder, TABLE)
        with folder_added(folder / "conf"):
            for cell in load_table("own", ON_DIGITS).cells:
                finish(cell)
    written = run_undrawn(folder, *ASKED, "--output", "own.zip")
    assert written.code == 0, written.err
    digest = hashlib.sha256((folder / "own.zip").read_bytes()).hexdigest()
    assert written.out.splitlines()[-2:] == [f"SHA-256 {digest}", "own.zip"]
    return folder


@pytest.fixture
def files(folder):
    return read(folder / "own.zip")


@pytest.fixture
def wrong_with(tmp_path, monkeypatch):
    """What a check in this process finds wrong with files, in an empty folder and without pictures."""
    compose_once(monkeypatch)
    monkeypatch.setattr(figures, "draw_all", lambda *_: ([], []))
    monkeypatch.setattr(page, "write_page", lambda findings, path, *parts: path)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")

    def find(files):
        path = write(tmp_path / "x.zip", files)
        try:
            found = check_capsule(path).wrong
        except UserError as error:
            found = [str(error)]
            assert str(path) in found[0]
        assert not any(
            "\n" in line or str(tempfile.gettempdir()) in line.replace(str(path), "")
            for line in found
        )
        return found

    return find


def check(path, cwd, drawn=False):
    """Checks it in a process of its own."""
    return (run if drawn else run_undrawn)(cwd, "capsule", "check", str(path))


def agreed(files, *, records=True):
    """With digests and sizes that agree with what the files are, as a forger would make them.

    Those that the records themselves have are left as they were without `records`.
    """
    folders = {
        name.rpartition("/")[0] for name in files if name.endswith("/SHA256SUMS") and records
    }
    for at in folders:
        lines = [
            f"{hashlib.sha256(content).hexdigest()}  {name.rpartition('/')[2]}\n"
            for name, content in files.items()
            if name.startswith(f"{at}/") and not name.endswith(("SHA256SUMS", ".py"))
        ]
        files[f"{at}/SHA256SUMS"] = "".join(lines).encode()
    content = json.loads(files[METADATA])
    kept = [one for one in content["@graph"] if one["@type"] != "File"]
    listed = [
        {
            "@id": name,
            "@type": "File",
            "contentSize": str(len(one)),
            "sha256": hashlib.sha256(one).hexdigest(),
        }
        for name, one in files.items()
        if name != METADATA
    ]
    (root,) = [one for one in kept if one["@id"] == "./"]
    root["hasPart"] = [{"@id": one["@id"]} for one in listed]
    files[METADATA] = json.dumps(content | {"@graph": [*kept, *listed]}).encode()
    return files


@pytest.mark.long
def test_a_capsule_made_agree_with_itself_again_still_passes(files, tmp_path):
    checked = check(write(tmp_path / "x.zip", agreed(files)), tmp_path / "empty")
    assert checked.code == 0, checked.out + checked.err
    assert len(re.findall(r"^\w+ +[01] +PASS +MISSING", checked.out, re.MULTILINE)) == 4
    assert "are the same to the byte" in checked.out


def other_logit(content):
    arrays = dict(np.load(io.BytesIO(content)))
    arrays["logits"][3, 4] += 1
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def other_logit_of_little_weight(content):
    """By the least that there is, of a class that the network all but rules out."""
    arrays = dict(np.load(io.BytesIO(content)))
    row = arrays["logits"][7]
    second = row.argsort()[-2]
    row[second] = np.nextafter(row[second], np.float16(np.inf))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def other_wheel(content):
    files = {}
    with zipfile.ZipFile(io.BytesIO(content)) as file:
        files = {name: file.read(name) for name in file.namelist()}
    files["reslab/loss.py"] += b"\nCHANGED = 1\n"
    buffer = io.BytesIO()
    write(buffer, files)
    return buffer.getvalue()


def other_accuracy(content):
    table = json.loads(content)
    table["rows"][1]["accuracy"] += 0.01
    return (json.dumps(table, indent=2) + "\n").encode()


def replaced(old, new):
    def edit(content):
        assert old in content
        return content.replace(old, new, 1)

    return edit


WHEEL = "reslab-0.1.0-py3-none-any.whl"
FORGED = {
    "a logit": (f"{RUN}/predictions.npz", other_logit, "Plain, seed 1: test/loss is"),
    "a logit of little weight": (
        f"{RUN}/predictions.npz",
        other_logit_of_little_weight,
        "Plain, seed 1: test/loss is",
    ),
    "a record": (
        f"{RUN}/metrics.json",
        lambda content: re.sub(
            rb'"test/accuracy": [\d.]+', b'"test/accuracy": 0.99', content, count=1
        ),
        "Plain, seed 1: test/accuracy is 0.99",
    ),
    "a configuration": (
        f"{RUN}/config.yaml",
        replaced(b"label_smoothing: 0", b"label_smoothing: 0.1"),
        "Plain, seed 1: config.yaml is of another configuration",
    ),
    "a curve": (
        f"{RUN}/metrics.csv",
        lambda content: content + b"4,80,0.1,1,1,1,1,1,1,0\n",
        "by the files beside it",
    ),
    "a number": (f"{PLACE}/table.json", other_accuracy, "table.json: rows[1].accuracy is"),
    "a remark": (
        f"{PLACE}/table.json",
        replaced(b"sample standard", b"usual"),
        "table.json: remarks[",
    ),
    "a text": (f"{PLACE}/table.md", replaced(b"| 91.25 |", b"| 81.25 |"), "table.md is not what"),
    "a spreadsheet": (f"{PLACE}/table.csv", replaced(b"91.25", b"81.25"), "table.csv is not what"),
    "a macro": (f"{PLACE}/macros.tex", lambda content: content + b"%\n", "macros.tex is not what"),
    "the README": (
        "README.md",
        lambda content: re.sub(rb"test accuracy \d\d", b"test accuracy 99", content, count=1),
        "README.md is not what",
    ),
    "the sources": (WHEEL, other_wheel, f"{WHEEL} has other sources than those whose digest"),
    "a pin": ("constraints.txt", replaced(b"==", b"==9"), "constraints.txt is not the one in"),
    "the license": ("LICENSE", replaced(b"MIT", b"No"), "LICENSE is not the one in"),
    "what was asked": (
        "capsule.json",
        replaced(b"max_steps=2", b"max_steps=3"),
        "another configuration",
    ),
    "Hydra's part": (
        "capsule.json",
        replaced(b'"max_steps=2"', b'"hydra.job.name=evil"'),
        "hydra.job.name=evil is not allowed",
    ),
    "a place of runs": (
        "capsule.json",
        replaced(b'"max_steps=2"', b'"max_steps=2", "runs_dir=evil"'),
        "runs_dir=evil is not allowed",
    ),
    "references": (
        f"{RUN}/config.yaml",
        lambda content: content + b"a: &a [1, 2]\nb: [*a, *a]\n",
        "config.yaml has references",
    ),
    "no end of a text": (
        f"{PLACE}/table.md",
        lambda content: content + bytes(1 << 24),
        "table.md is too large a text",
    ),
    "no text of a table": (f"{PLACE}/table.tex", None, "table.tex is missing"),
    "no table": (f"{PLACE}/table.json", None, "table.json is missing"),
    "no logits": (f"{RUN}/predictions.npz", None, f"{RUN}/predictions.npz is missing"),
    "no record": (f"{RUN}/metrics.json", None, f"{RUN}/metrics.json is missing"),
    "no digests": (f"{RUN}/SHA256SUMS", None, "SHA256SUMS is missing"),
    "no pins": ("constraints.txt", None, "constraints.txt is missing"),
    "no sources": (WHEEL, None, "it has 0 wheels"),
    "no word of it": ("capsule.json", None, "capsule.json"),
    "another file": ("evil.txt", b"evil", "evil.txt is no part of a capsule of own"),
    "code beside a record": (f"{RUN}/evil.py", b"evil", f"{RUN}/evil.py is no part of"),
    "another text": (f"{PLACE}/more.md", b"more", "more.md is nothing that its records give"),
    "another picture": (f"{PLACE}/figures/more.png", b"more", "more.png is nothing that"),
    "another run": (
        f"{PLACE}/runs/plain-s7/metrics.json",
        b"{}",
        "plain-s7/metrics.json is no part",
    ),
}


# Of those that are found by what a file's name or its place says, as others here.
LIKE_OTHERS = (
    "another",
    "no ",
    "a text",
    "a macro",
    "a remark",
    "a spreadsheet",
    "the ",
)


@pytest.mark.parametrize(
    "case",
    [pytest.param(one, marks=[pytest.mark.long] * one.startswith(LIKE_OTHERS)) for one in FORGED],
)
def test_what_was_forged_with_all_digests_made_right_is_found(case, files, wrong_with):
    name, how, said = FORGED[case]
    if how is None:
        del files[name]
    else:
        before = files.get(name)
        files[name] = how if isinstance(how, bytes) else how(files[name])
        assert files[name] != before
    if case == "no digests":
        content = dict(agreed(dict(files)))
        content.pop(name, None)
        files = content
    else:
        files = agreed(files)
    found = wrong_with(files)
    assert any(said in line for line in found), found


def test_the_least_change_of_any_logit_is_found_by_what_the_record_has_of_it(files, wrong_with):
    """Whatever the capsule's own metadata says: of such a change no number need tell."""
    arrays = dict(np.load(io.BytesIO(files[f"{RUN}/predictions.npz"])))
    least = np.unravel_index(arrays["logits"].argmin(), arrays["logits"].shape)
    arrays["logits"][least] = np.nextafter(arrays["logits"][least], np.float16(-np.inf))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    files[f"{RUN}/predictions.npz"] = buffer.getvalue()
    found = wrong_with(agreed(files, records=False))
    said = "Plain, seed 1: predictions.npz: changed since the record was kept"
    assert any(line.startswith(said) for line in found), found


def test_runs_at_hand_that_do_not_agree_with_it_are_wrong_too():
    why = "test/accuracy of the run at hand is 0.5, not 0.9"
    verdicts = (
        Verdict("Plain", 0, "PASS", "FAIL", 0.1, (why,)),
        Verdict("Plain", 1, "PASS", "PASS", 0.1, ()),
    )
    checkup = Checkup(Verification(load_table("liu_goh"), verdicts), ())
    assert checkup.wrong == [f"Plain, seed 0: {why}"]


def test_what_is_wrong_is_a_line_and_the_command_ends_with_1(files, tmp_path):
    files[f"{PLACE}/table.json"] = other_accuracy(files[f"{PLACE}/table.json"])
    checked = check(write(tmp_path / "x.zip", agreed(files)), tmp_path / "empty")
    assert checked.code == 1
    assert f"{tmp_path}/x.zip: table.json: rows[1].accuracy is" in checked.error_line()
    assert len(re.findall(r"PASS +MISSING", checked.out)) == 4
    assert "to the byte" not in checked.out


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda files: files.update(LICENSE=b"x" * len(files["LICENSE"])),
            "LICENSE is not the file of",
        ),
        (lambda files: files.update(LICENSE=b"x"), "LICENSE has 1 bytes, not the"),
        (lambda files: files.pop("LICENSE"), "LICENSE is not in it, and"),
        (lambda files: files.update(more=b"x"), "more is in it, and"),
        (lambda files: files.pop(METADATA), "it is no capsule"),
        (lambda files: files.update({METADATA: b"[]"}), "is damaged or foreign"),
        (lambda files: files.update({METADATA: b'{"@graph": []}'}), "the root lacks name"),
        (lambda files: files.clear(), "it is no capsule"),
    ],
)
def test_what_its_metadata_does_not_say_is_named(spoil, said, files, wrong_with):
    spoil(files)
    found = wrong_with(files)
    assert said in found[0], found


@pytest.mark.long
def test_other_sources_that_compute_the_same_are_said_to_be_others(files, wrong_with, tmp_path):
    """What the commands print, say: numbers are compared, texts are not."""
    with zipfile.ZipFile(io.BytesIO(files[WHEEL])) as file:
        inside = {name: file.read(name) for name in file.namelist()}
    inside["reslab/cli/doctor.py"] += b"\nCHANGED = 1\n"
    buffer = io.BytesIO()
    write(buffer, inside)
    files[WHEEL] = buffer.getvalue()
    assert wrong_with(agreed(files)) == []
    (remark,) = check_capsule(tmp_path / "x.zip").remarks
    assert remark.startswith("NOT CHECKED: texts, pictures and page, for its sources are not those")
    files[f"{PLACE}/table.json"] = other_accuracy(files[f"{PLACE}/table.json"])
    (found,) = wrong_with(agreed(files))
    assert found.startswith("table.json: rows[1].accuracy is")


@pytest.mark.long
def test_other_packages_excuse_no_text_and_no_file(files, wrong_with, tmp_path):
    """Whoever made it says which they were."""
    version = platform.python_version().encode()
    files["capsule.json"] = replaced(version, b"3.9.0")(files["capsule.json"])
    drawn = f"{PLACE}/more.png"
    assert wrong_with(agreed(files)) == []
    remarks = check_capsule(tmp_path / "x.zip").remarks
    assert any(f"(python 3.9.0 there, {version.decode()} here)" in one for one in remarks)
    text = files[f"{PLACE}/table.md"]
    for name, content, said in (
        (f"{PLACE}/table.md", text.replace(b"| 91.25 |", b"| 81.25 |"), "table.md is not what"),
        ("README.md", files["README.md"] + b"more", "README.md is not what"),
        (drawn, b"more", "more.png is nothing that"),
    ):
        (found,) = wrong_with(agreed(files | {name: content}))
        assert said in found


def test_it_is_an_ro_crate_as_another_reader_reads_it(folder, files):
    crate = ROCrate(folder / "own.zip")
    root = crate.root_dataset
    assert root["name"] == "Two networks, on digits"
    assert root["description"]
    assert date.fromisoformat(root["datePublished"]) == date(2024, 5, 1)  # of the newest record
    assert root["license"].id.startswith("https://")
    assert root["license"].type == "CreativeWork"
    assert crate.metadata["conformsTo"] == "https://w3id.org/ro/crate/1.1"
    listed = {unquote(one.id): one for one in crate.data_entities}
    assert listed.keys() == files.keys() - {METADATA}
    for name, one in listed.items():
        assert one.type == "File"
        assert int(one["contentSize"]) == len(files[name])
        assert one["sha256"] == hashlib.sha256(files[name]).hexdigest()


def test_the_wheel_is_of_the_code_that_runs_and_pip_installs_it(files, tmp_path):
    (tmp_path / WHEEL).write_bytes(files[WHEEL])
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
    options = ["--no-deps", "--no-index", "--target", tmp_path / "there"]
    subprocess.run([*pip, *options, tmp_path / WHEEL], check=True)
    package = tmp_path / "there/reslab"
    expected = {
        f"{where}{path.relative_to(folder)}": path
        for folder, where in ((REPOSITORY / "src/reslab", ""), (REPOSITORY / "conf", "conf/"))
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    } | {"constraints.txt": REPOSITORY / "constraints.txt"}
    found = {str(path.relative_to(package)): path for path in package.rglob("*") if path.is_file()}
    compiled = {name for name in found if "__pycache__" in name}
    assert found.keys() - compiled == expected.keys()
    assert all(found[name].read_bytes() == path.read_bytes() for name, path in expected.items())
    assert (package.parent / "hydra_plugins/reslab_launchers.py").is_file()
    assert "MIT" in distribution_of(package.parent).metadata["License-Expression"]


def distribution_of(folder):
    (found,) = importlib.metadata.distributions(name="reslab", path=[str(folder)])
    return found


@pytest.mark.long
def test_a_table_without_runs_and_one_with_a_damaged_run_have_no_capsule(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (damaged,) = (copy / "outputs/runs").glob("*-nojoin-s1-*/predictions.npz")
    damaged.write_bytes(b"spoilt")
    assert "Plain, seed 1: " in run_undrawn(copy, *ASKED).error_line()
    shutil.rmtree(copy / "outputs/runs")
    assert "no run of it is finished" in run_undrawn(copy, *ASKED).error_line()
    assert "has no record of it" in run_undrawn(copy, *ASKED, "--reference").error_line()
    refused = run(copy, *ASKED, RESLAB_TARGETS="mine")
    assert "a capsule has no code but reslab's own" in refused.error_line()
    assert not (copy / "outputs/capsules").exists()


def test_a_folder_is_no_file_to_write_which_is_said_before_anything_is_drawn(tmp_path):
    with pytest.raises(UserError, match=f"^{tmp_path} is a folder: name the file that"):
        write_capsule("liu_goh", ["dataset=digits"], output=tmp_path)


def test_of_kept_records_they_are_in_it_to_the_byte(folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    assert run_undrawn(copy, "table", *ASKED[1:], "--keep").code == 0
    shutil.rmtree(copy / "outputs/runs")
    shutil.rmtree(copy / f"{PLACE}/runs/residual-s0")
    written = run_undrawn(copy, *ASKED, "--reference")
    assert written.code == 0, written.err
    files = read(copy / "outputs/capsules/own-digits.zip")
    runs = {name for name in files if "/runs/" in name}
    assert len(runs) == 3 * 6
    assert all(files[name] == (copy / name).read_bytes() for name in runs)
    checked = check(copy / "outputs/capsules/own-digits.zip", tmp_path / "empty")
    assert checked.code == 0, checked.err
    assert len(re.findall(r"PASS +MISSING", checked.out)) == 3


def test_it_is_twice_the_same(folder, tmp_path):
    again = run_undrawn(folder, *ASKED, "--output", str(tmp_path / "again.zip"))
    assert again.code == 0, again.err
    assert (tmp_path / "again.zip").read_bytes() == (folder / "own.zip").read_bytes()


@pytest.mark.long
def test_with_pictures_it_is_drawn_the_same_again_and_a_changed_picture_is_found(folder, tmp_path):
    written = run(folder, *ASKED, "seed=0", "--output", str(tmp_path / "own.zip"))
    assert written.code == 0, written.err
    files = read(tmp_path / "own.zip")
    picture = f"{PLACE}/figures/costs.png"
    assert files[picture].startswith(b"\x89PNG")
    assert f"{PLACE}/page.html" in files
    files[picture] = files[f"{PLACE}/figures/curves.png"]
    checked = check(write(tmp_path / "x.zip", agreed(files)), tmp_path / "empty", drawn=True)
    line = checked.error_line()
    assert line.endswith("figures/costs.png is not what its records give"), "and no other"
