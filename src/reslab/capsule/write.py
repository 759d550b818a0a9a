"""A capsule is made: of runs at hand, or of records that were kept."""

from collections.abc import Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory

from reslab.capsule.archive import pack
from reslab.capsule.contents import render_from
from reslab.capsule.describe import describe
from reslab.capsule.layout import (
    ABOUT,
    CONF,
    CONSTRAINTS,
    LICENSE,
    METADATA,
    README,
    RECORDS,
    About,
    named_within,
)
from reslab.capsule.readme import archive_name, readme
from reslab.capsule.wheel import constraints, installed, license_text, pack_wheel
from reslab.config import own_folders, own_groups, parse_overrides, trusted_modules
from reslab.errors import UserError
from reslab.files import write_atomically
from reslab.reporter import SILENT, Reporter
from reslab.runs.identity import WITHOUT_EFFECT
from reslab.runs.sources import code_digest
from reslab.search.summary import RECORD
from reslab.tables.collect import collect
from reslab.tables.findings import Findings
from reslab.tables.plan import Table, load_table
from reslab.tables.reference import KEPT, copy_record, from_reference, kept_as
from reslab.tables.verify import FAIL, verify

OUTPUT = Path("outputs/capsules")


def write_capsule(
    name: str,
    overrides: Sequence[str] = (),
    *,
    quick: bool = False,
    reference: Path | None = None,
    output: Path | None = None,
    reporter: Reporter = SILENT,
) -> Path:
    """Writes all that is behind a table into one zip; of the same records the same bytes.

    Args:
        name: The table's name.
        overrides: Hydra's, for every cell.
        quick: Whether at the small scale that the table's file names.
        reference: Where the records are taken from, if not from the runs.
        output: The file; `outputs/capsules/<table>-<data set>.zip` without one.
        reporter: Is told what is being done.

    Returns:
        The file.

    Raises:
        UserError: There is no such table, an override is wrong, no cell is finished, a record is
            damaged or contradicts itself, or configurations build what is not reslab's own.
    """
    if trusted := trusted_modules():
        raise UserError(
            f"RESLAB_TARGETS={','.join(trusted)}: a capsule has no code but reslab's own, and "
            f"nobody could check it: unset that"
        )
    table = load_table(name, overrides, quick=quick)
    target = output or OUTPUT / archive_name(table)
    if target.is_dir():
        raise UserError(f"{target} is a folder: name the file that the capsule is to be")
    with TemporaryDirectory() as folder:
        root = Path(folder)
        _gather(table, reference, root / RECORDS)
        _refuse_contradictions(name, overrides, quick, root)
        findings, _ = render_from(table, root, root / RECORDS, reporter)
        files = {
            path.relative_to(root).as_posix(): path.read_bytes()
            for path in (root / RECORDS).rglob("*")
            if path.is_file()
        }
    said = [text for key, text, _ in parse_overrides(overrides) if key not in WITHOUT_EFFECT]
    about = About.here(name, said, quick, code_digest())
    files |= _beside(findings, about)
    files[METADATA] = _metadata(findings, files)
    target.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(target, pack(files))
    return target


def _gather(table: Table, reference: Path | None, folder: Path) -> None:
    """Copies the finished cells' records, as the repository keeps them."""
    results = from_reference(table, reference) if reference else collect(table)
    for result in results:
        if result.state == "damaged":
            raise UserError(f"{result.cell.row.name}, seed {result.cell.seed}: {result.reason}")
    runs = [result.run for result in results if result.run]
    if not runs:
        where = f"{reference} has no record of it" if reference else "no run of it is finished"
        raise UserError(f"{table.heading}: {where}; `reslab reproduce` runs what is missing")
    for run in runs:
        target = kept_as(run.cell, table, folder).directory
        if reference is None:
            copy_record(run, target)
            continue
        target.path.mkdir(parents=True)
        for path in (run.cell.directory.path / name for name in KEPT):
            if path.exists():  # gradients were not always kept
                (target.path / path.name).write_bytes(path.read_bytes())


def _refuse_contradictions(name: str, overrides: Sequence[str], quick: bool, root: Path) -> None:
    for one in verify(name, overrides, quick=quick, reference=root / RECORDS).verdicts:
        if one.record == FAIL:
            reason = named_within(root, one.reasons[0])
            raise UserError(f"{one.row}, seed {one.seed}: {reason}: `reslab verify` says all of it")


def _beside(findings: Findings, about: About) -> dict[str, bytes]:
    """What is in a capsule beside the records and what is rendered of them."""
    wheel, code = pack_wheel()
    own = {
        f"{CONF}/{path.relative_to(group.parent).as_posix()}": path.read_bytes()
        for group in own_groups()
        for path in ([group] if group.is_file() else sorted(group.rglob("*.yaml")))
    }
    python = installed().metadata["Requires-Python"]
    text = readme(findings, about, wheel, python, has_conf=bool(own))
    searches = [Path(folder).parent / RECORD for folder in own_folders()]
    if records := [path for path in searches if path.is_file()]:
        if len(searches) > 1:
            raise UserError(
                f"{records[0]} would be taken for that of all recipes: a capsule holds what one "
                f"--config-dir has where that is a search's"
            )
        own[RECORD] = records[0].read_bytes()  # which lies as far from its recipe there
    return own | {
        README: text.encode(),
        ABOUT: about.text.encode(),
        CONSTRAINTS: constraints(),
        LICENSE: license_text().encode(),
        wheel: code,
    }


def _metadata(findings: Findings, files: dict[str, bytes]) -> bytes:
    days = [date.fromisoformat(run.record.finished[:10]) for run in findings.done]
    return describe(
        files,
        findings.table.heading,
        f"Records, logits, configurations, code and pinned packages behind the table “"
        f"{findings.table.heading}”, which `reslab capsule check` verifies.",
        max(days),
        installed().metadata["License-Expression"],
    )
