"""A table is rendered anew where something that it is made of has changed, as by `make`."""

import contextlib
import hashlib
import json
import os
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.config import CONF_DIR, of_variables, own_folders, own_groups, own_sources
from reslab.content import parse
from reslab.errors import UserError
from reslab.files import write_atomically
from reslab.markdown import insert_files
from reslab.reporter import SILENT, Reporter
from reslab.runs.index import SETTLED_NS
from reslab.runs.store import RunDirectory
from reslab.tables.rendered import Rendered

if TYPE_CHECKING:
    from reslab.tables.plan import Table

OUTPUT = Path("outputs/tables")
PACKAGE = Path(__file__).parents[1]

# What composes, computes and draws.
LIBRARIES = (
    "hydra-core",
    "numpy",
    "pandas",
    "scipy",
    "torch",
    "torchmetrics",
    "matplotlib",
    "bokeh",
)

Stamps = dict[str, Any]
"""By a path, how what is there was."""


def render_table(
    name: str,
    overrides: Sequence[str] = (),
    *,
    quick: bool = False,
    keep: Path | None = None,
    reference: Path | None = None,
    output: Path = OUTPUT,
    pages: Sequence[Path] = (),
    reporter: Reporter = SILENT,
    show: Callable[[dict[str, Any]], None] = lambda content: None,
) -> Rendered:
    """Renders a published table from the runs at hand, or from records that were kept.

    One that was rendered from the runs, and of which nothing has changed since, is left as it is.

    Args:
        name: The table's name.
        overrides: Hydra's, for every cell.
        quick: Whether at the small scale that the table's file names.
        keep: Where the finished runs' records are copied to first.
        reference: Where the records are taken from, if not from the runs.
        output: The folder with tables.
        pages: Markdown files into which it is inserted too, and what else they have a place for.
        reporter: Is told how far the pictures are, and what could not be drawn.
        show: Takes what the table came to as soon as that is known: pictures take longer.

    Raises:
        UserError: There is no such table, an override is wrong, a record cannot be kept, or the
            Markdown file has no place for the table.
    """
    made = _Made(output / name / ".made.json", _question(name, overrides, quick))
    is_of_runs = keep is None and reference is None
    if is_of_runs and (rendered := made.find()):
        show(rendered.content)
        for warning in rendered.warnings:
            reporter.warn(warning)
    else:
        # With pandas, for which a table that is as it was does not wait.
        from reslab.tables.collect import collect
        from reslab.tables.plan import load_table
        from reslab.tables.reference import from_reference, keep_records
        from reslab.tables.render import render

        table = load_table(name, overrides, quick=quick)
        before, begun = _of_runs(str(cell.directory.path) for cell in table.cells), time.time_ns()
        kept = keep_records(table, collect(table), keep) if keep else []
        results = from_reference(table, reference) if reference else collect(table)
        rendered = render(table, results, output, reporter, show)
        is_whole = not any(result.state == "damaged" for result in results)  # it may be at once
        if is_of_runs and is_whole and _is_told_by_stamps(table, before, begun):
            made.note(before, rendered)
        rendered = replace(rendered, written=(*kept, *rendered.written))
    for page in pages:
        insert_files(page, rendered.folder)
    return rendered


class _Made:
    """What a table's files were made of: a copy, that counts as long as all of that is as it was.

    It may be deleted at any time: the table is rendered anew.

    Args:
        file: Where it is written down, for each folder of the table's one thing.
        question: A digest of what was asked, and of all that answers it beside the runs.
    """

    def __init__(self, file: Path, question: str) -> None:
        self.file, self.question = file, question

    def find(self) -> Rendered | None:
        """The table as it was rendered, None where something is not as it was."""
        with contextlib.suppress(KeyError, OSError, TypeError, ValueError):  # foreign, or gone
            one = self._read()[self.question]
            folder, written = Path(one["folder"]), [Path(path) for path in one["written"]]
            if one["runs"] == _of_runs(one["runs"]) and one["files"] == _of_files(written):
                content = json.loads((folder / "table.json").read_text())
                return Rendered(content, folder, tuple(written), tuple(one["warnings"]))
        return None

    def note(self, runs: Stamps, rendered: Rendered) -> None:
        """Writes down what a table was made of; where that fails, it is rendered again."""
        one = {
            "folder": str(rendered.folder),
            "written": [str(path) for path in rendered.written],
            "warnings": rendered.warnings,
            "runs": runs,
            "files": _of_files(rendered.written),
        }
        known = self._read()
        others = {key: other for key, other in known.items() if other["folder"] != one["folder"]}
        text = json.dumps(others | {self.question: one})
        with contextlib.suppress(OSError, UserError):
            if rendered.is_on_disk:
                write_atomically(self.file, text.encode(), durably=False)

    def _read(self) -> dict[str, Any]:
        try:
            content = parse(self.file.read_bytes())
        except (OSError, ValueError):  # none, or spoilt
            return {}
        are_notes = isinstance(content, dict) and all(
            isinstance(one, dict) and "folder" in one for one in content.values()
        )
        return content if are_notes else {}


def _question(name: str, overrides: Sequence[str], quick: bool) -> str:
    """A digest of what is asked, and of code, configurations and libraries."""
    own = [own_folders(), os.environ.get("RESLAB_TARGETS")]
    asked = [name, list(overrides), quick, os.getcwd(), own]
    digest = hashlib.sha256(json.dumps(asked).encode())
    digest.update(json.dumps([version(library) for library in LIBRARIES]).encode())
    digest.update(of_variables(" ".join(overrides).encode()))
    folders = [PACKAGE, CONF_DIR, *own_groups(), *own_sources()]
    for path in (path for folder in folders for path in sorted([folder, *folder.rglob("*")])):
        if path.suffix in (".py", ".yaml", ".html", ".css") and path.is_file():
            text = path.read_bytes()
            digest.update(f"{path}\0{len(text)}\0".encode() + text + of_variables(text))
    return digest.hexdigest()


def _of_runs(paths: Iterable[str]) -> Stamps:
    """How runs and the files that a table reads of them are."""
    stamps = {}
    for path in paths:
        run = RunDirectory(Path(path))
        files = (
            *(run.path, run.request_file, run.config_file, run.failure_file, run.record_file),
            *(run.metrics_file, run.gradients_file, run.predictions_file),
            *(run.best, run.analyses, *sorted(run.analyses.glob("*.npz"))),
        )
        stamps[path] = [run.state() if run.path.is_dir() else "", *map(_stamp, files)]
    return stamps


def _of_files(written: Iterable[Path]) -> Stamps:
    """How a table's files are, and those in its folder of pictures."""
    return {str(file): _stamp(file) for path in written for file in [path, *path.rglob("*")]}


def _stamp(path: Path) -> list[int]:
    """When that has changed, ns, its size and which it is; nothing where it is not there.

    What has changed may be who may read it, too.
    """
    try:
        found = path.stat()
        return [found.st_mtime_ns, found.st_size, found.st_ctime_ns, found.st_ino]
    except OSError:
        return []


def _is_told_by_stamps(table: "Table", before: Stamps, begun: int) -> bool:
    """Whether another table would be told by how files are.

    A run that changes while it is read, or has just changed, may change unseen; and where pictures
    lie in a folder, these say which runs are meant.
    """
    times = (stamp[0] for _, *stamps in before.values() for stamp in stamps if stamp)
    return (
        before == _of_runs(before)
        and begun - max(times, default=0) > SETTLED_NS
        and not any("content" in cell.cfg.dataset for cell in table.cells)
    )
