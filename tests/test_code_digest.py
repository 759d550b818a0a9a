"""The digest of the code is of what it does, of all that can change a result and of no more."""

import hashlib
import shutil
import subprocess
from pathlib import Path

import pytest

import reslab
from reslab.runs import sources, syntax
from reslab.runs.sources import SOURCES_THAT_MATTER, code_digest
from reslab.runs.syntax import syntax_digest

PACKAGE = Path(reslab.__file__).parent

SOURCE = '''
"""What it is."""

from functools import cache  # for speed

RATES = [0x10, 1_000, "é", None, u"x"]
"""What they are."""


class Thing(dict):
    """Of that kind."""

    @cache
    def grow(self, by=2, *, name="a" "b"):
        """By how much."""
        # a comment
        if self and by > 1:
            self.width = by * (3 + 4)
            del self[name]
            raise ValueError(f"by {by}", name) from None
        return f"{by:{name}>3}" if not by else (by, f"")
'''

SAME = [
    ('"""What it is."""', ""),
    ('"""Of that kind."""', '"""Of another\n    kind.\n    """'),
    ('        """By how much."""\n', ""),
    ('"""What they are."""', "'and what not'"),
    ("  # for speed", "  # not for speed"),
    ("        # a comment\n", "\n\n\n"),
    ("0x10, 1_000", "16,\n         1000"),
    ('"a" "b"', "'ab'"),
    ('u"x"', '"x"'),
    ('"é"', '"\\u00e9"'),
    ("(3 + 4)", "(\n            (3 + 4)  # seven\n        )"),
    ("if self and by > 1:", "if (self and (by > 1)):"),
    ("self.width = by", "self . width=by"),
    ("\n", "\r\n"),
    ('f"by {by}", name', "name"),
    ('f"by {by}"', '"by how much it is not said"'),
]

OTHER = [
    ("3 + 4", "3 + 5"),
    ("3 + 4", "3 - 4"),
    ("0x10", "16.0"),
    ("None", "False"),
    ('"é"', '"e"'),
    ('"é"', 'b"e"'),
    ("by > 1", "by >= 1"),
    ("and", "or"),
    ("not by", "by"),
    ("by=2", "by=3"),
    ("by=2, *, name", "by=2, name"),
    ('"a" "b"', '"a", "b"'),
    ("    @cache\n", ""),
    ("self.width", "self.widths"),
    ("def grow", "def shrink"),
    ("class Thing(dict)", "class Thing(list)"),
    ("            del self[name]\n", ""),
    ("            del self[name]\n", "        del self[name]\n"),
    ("ValueError", "KeyError"),
    ('f"by {by}", name', 'f"by {by}", by'),
    (" from None", ""),
    ("return", "yield"),
    (">3}", ">4}"),
    (">3}", "<3}"),
    ("{by:", "{by!r:"),
    ("import cache", "import lru_cache as cache"),
    ('(by, f"")', '(by, f"x")'),
]


def edited(old, new):
    assert old in SOURCE, old
    return SOURCE.replace(old, new).encode()


@pytest.mark.parametrize(("old", "new"), SAME)
def test_comments_docstrings_and_layout_are_no_part_of_it(old, new):
    assert syntax_digest(edited(old, new)) == syntax_digest(SOURCE.encode())


def test_whatever_changes_what_the_code_does_changes_it():
    digests = [syntax_digest(text) for text in (SOURCE.encode(), *(edited(*e) for e in OTHER))]
    assert len(set(digests)) == len(digests)


@pytest.mark.slow
def test_every_version_of_python_says_the_same():
    """Of this text, held here, and of reslab's own sources in the versions that are at hand."""
    held = "59f8f9b2e948f4e1a77261a885daa091da54524d4457525e0890992a8ee94fb0"
    assert syntax_digest(SOURCE.encode()) == held
    files = sorted(PACKAGE.rglob("*.py"))
    ours = "".join(syntax_digest(file.read_bytes()) for file in files)
    code = (
        "import runpy, sys, pathlib\n"
        "digest = runpy.run_path(sys.argv[1])['syntax_digest']\n"
        "print(*(digest(pathlib.Path(f).read_bytes()) for f in sys.argv[2:]), sep='')"
    )
    for python in filter(None, (shutil.which(f"python3.{minor}") for minor in (11, 12, 13, 14))):
        command = [python, "-c", code, syntax.__file__, *map(str, files)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode == 0:  # else it is a name without a Python behind it
            assert done.stdout.strip() == ours, python


def test_what_is_no_python_counts_byte_by_byte():
    for content in (b"def f(:", b"x = '\xff'", b"\0"):
        assert syntax_digest(content) == hashlib.sha256(content).hexdigest()


# Why the rest of the package is no part of it.
ACTS_THROUGH_CONFIG = "what it decides stands in the configuration, which is hashed"
WATCHES = "reads what is trained and changes nothing"
KEEPS = "keeps what was trained; that it comes back bit for bit is tested"
ASKS = "refuses or begins, and a refused run has no result"
ENDS = "ends a run, which then has no result"
RECORDED = "what it finds is recorded beside the digest"
READS = "what it reads and divides is recorded beside the digest"
AFTERWARDS = "works on what finished runs have kept"
LEFT_OUT = {
    "__init__.py": AFTERWARDS,
    "__main__.py": ASKS,
    "doctor.py": ASKS,
    "finite.py": ENDS,
    "runs/failures.py": ENDS,
    "analysis/": WATCHES,
    "analyze/": AFTERWARDS,
    "apps/": ASKS,
    "bench/": "measures time",
    "data/__init__.py": KEEPS,
    "data/archives.py": READS,
    "data/decoded.py": READS,
    "data/folder.py": READS,
    "data/remarks.py": ASKS,
    "data/sources.py": READS,
    "data/splits.py": READS,
    "callbacks/": "reads what is trained; what ends training has files apart",
    "classifier.py": AFTERWARDS,
    "capsule/": AFTERWARDS,
    "cli/": ASKS,
    "config/": ACTS_THROUGH_CONFIG,
    "content.py": KEEPS,
    "errors.py": ASKS,
    "evaluation/": AFTERWARDS,
    "export/": AFTERWARDS,
    "files.py": KEEPS,
    "jobs/": ASKS,
    "locks.py": KEEPS,
    "machine/__init__.py": RECORDED,
    "machine/device.py": RECORDED,
    "machine/others.py": RECORDED,
    "markdown.py": AFTERWARDS,
    "pictures/": "what it decodes is recorded beside the digest",
    "predicting/": AFTERWARDS,
    "progress.py": WATCHES,
    "ranges.py": ASKS,
    "reporter.py": WATCHES,
    "reports/": AFTERWARDS,
    "runs/__init__.py": KEEPS,
    "runs/again.py": ACTS_THROUGH_CONFIG,
    "runs/analyses.py": AFTERWARDS,
    "runs/bits.py": AFTERWARDS,
    "runs/attempt.py": KEEPS,
    "runs/build.py": "puts together what the others decide",
    "runs/checkpoint.py": KEEPS,
    "runs/control.py": ASKS,
    "runs/description.py": KEEPS,
    "runs/diff.py": AFTERWARDS,
    "runs/environment.py": RECORDED,
    "runs/execute.py": "what it begins with stands in the configuration, `init_from` too",
    "runs/extension.py": ACTS_THROUGH_CONFIG,
    "runs/facts.py": AFTERWARDS,
    "runs/finish.py": "what it tells is kept, or follows from what is",
    "runs/history.py": AFTERWARDS,
    "runs/score.py": "scores logits that are kept, and `reslab verify` scores them again",
    "runs/identity.py": ACTS_THROUGH_CONFIG,
    "runs/index.py": AFTERWARDS,
    "runs/load.py": AFTERWARDS,
    "runs/log.py": KEEPS,
    "runs/older.py": AFTERWARDS,
    "runs/options.py": ASKS,
    "runs/outcome.py": AFTERWARDS,
    "runs/pins.py": ACTS_THROUGH_CONFIG,
    "runs/predictions.py": KEEPS,
    "runs/reading.py": AFTERWARDS,
    "runs/record.py": KEEPS,
    "runs/check.py": ASKS,
    "runs/saving.py": KEEPS,
    "runs/repeat.py": AFTERWARDS,
    "runs/seeds.py": AFTERWARDS,
    "runs/sources.py": RECORDED,
    "runs/request.py": KEEPS,
    "runs/resolvers.py": ACTS_THROUGH_CONFIG,
    "runs/store.py": KEEPS,
    "runs/syntax.py": RECORDED,
    "runs/trained.py": KEEPS,
    "search/": ASKS,
    "selftest.py": AFTERWARDS,
    "studio/": ASKS,
    "tables/": AFTERWARDS,
    "terminal/": AFTERWARDS,
    "use.py": AFTERWARDS,
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A copy of the package, of which the digest is taken."""
    copy = tmp_path / "reslab"
    shutil.copytree(PACKAGE, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "__file__", str(copy / "runs" / "sources.py"))
    return copy


def test_the_code_digest_is_of_the_code_that_can_change_a_result(package):
    assert code_digest() == code_digest()
    before = code_digest()
    (package / "cli.py").write_text("")
    assert code_digest() == before
    for name in ("nn/joins.py", "preprocess.py"):
        (package / name).write_text("")
        assert code_digest() != before
        before = code_digest()


def test_to_move_or_rename_a_file_changes_nothing_and_to_add_one_does(package):
    """With all that imports it, as one that only looks for its name would not see."""
    before = code_digest()
    (package / "nn/joins.py").rename(package / "nn/ways.py")
    importing = [p for p in package.rglob("*.py") if b"reslab.nn.joins" in p.read_bytes()]
    assert len(importing) > 1
    for path in importing:
        text = path.read_text().replace("reslab.nn.joins", "reslab.nn.ways")
        path.write_text(text)
    assert code_digest() == before
    (package / "nn/more.py").write_text("from reslab.nn.ways import Join\n")
    added = code_digest()
    assert added != before
    (package / "nn/more.py").write_text("from reslab.nn.ways import Join as Other\n")
    assert code_digest() not in (before, added)
    (package / "nn/more.py").write_text("from torch.nn import Module\n")
    other = code_digest()
    (package / "nn/more.py").write_text("from torch.jit import Module\n")
    assert code_digest() != other, "another library's names are told apart by where they are"


def covers(parts, name):
    return any(name == part or (name.startswith(part) and part[-1] == "/") for part in parts)


def test_each_file_is_part_of_it_or_left_out_for_a_reason(package):
    """A new file belongs into one of the two."""
    parts = [f"{part}/" if (PACKAGE / part).is_dir() else part for part in SOURCES_THAT_MATTER]
    before = code_digest()
    for path in sorted(package.rglob("*.py")):
        name, content = str(path.relative_to(package)), path.read_bytes()
        assert covers(parts, name) or covers(LEFT_OUT, name), f"{name}: is it part, and why not?"
        path.write_bytes(content + b"\n# a remark\n")
        assert code_digest() == before, name
        path.write_bytes(content + b"\nchanged = 1\n")
        assert (code_digest() != before) == covers(parts, name), name
        path.write_bytes(content)
    assert all((PACKAGE / name).exists() for name in (*parts, *LEFT_OUT))


def test_users_own_sources_are_part_of_it_alike(tmp_path, monkeypatch):
    """A module and a package, by what they do."""
    (tmp_path / "digested_too").mkdir()
    files = [
        tmp_path / "digested.py",
        tmp_path / "digested_too/__init__.py",
        tmp_path / "digested_too/deep.py",
    ]
    for file in files:
        file.write_text("x = 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("RESLAB_TARGETS", "digested,digested_too")
    before = code_digest()
    for file in files:
        file.write_text('"""A module."""\nx = (1)  # one\n')
        assert code_digest() == before
        file.write_text("x = 2\n")
        assert code_digest() != before
        file.write_text("x = 1\n")
    files[2].rename(tmp_path / "digested_too/other.py")
    assert code_digest() == before
