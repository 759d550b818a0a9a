"""A capsule is checked, whoever made it: nothing in it is run, imported or unpickled."""

from collections.abc import Iterator, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from filecmp import cmp
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory

from reslab.capsule import crate
from reslab.capsule.archive import refuse_too_much, unpack
from reslab.capsule.contents import render_from
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
from reslab.capsule.numbers import differences
from reslab.capsule.readme import readme
from reslab.capsule.sources import Sources, read_sources
from reslab.capsule.wheel import installed
from reslab.config import folder_added, parse_overrides
from reslab.content import parse
from reslab.errors import UserError
from reslab.reporter import SILENT, Reporter
from reslab.runs.identity import WITHOUT_EFFECT
from reslab.runs.sources import code_digest
from reslab.search.summary import RECORD
from reslab.tables.findings import Findings
from reslab.tables.plan import Table, load_table
from reslab.tables.reference import KEPT, kept_as
from reslab.tables.verify import FAIL, Verification, verify

TABLE = "table.json"
ROUNDED = (".md", ".tex")  # texts, whose numbers are rounded: no processor changes them


@dataclass(frozen=True)
class Checkup:
    """What is said of a capsule.

    Attributes:
        verification: What is said of its records; None where its files are not those that its
            metadata lists, and nothing was read further.
        faults: What is wrong besides, a line each.
        remarks: What a reader should know: how much could be compared, and with what.
    """

    verification: Verification | None
    faults: tuple[str, ...]
    remarks: tuple[str, ...] = ()

    @property
    def wrong(self) -> list[str]:
        """All that is wrong, records first."""
        verdicts = self.verification.verdicts if self.verification else ()
        failed = [one for one in verdicts if FAIL in (one.record, one.fresh)]
        reasons = (f"{one.row}, seed {one.seed}: {why}" for one in failed for why in one.reasons)
        return [*reasons, *self.faults]


def check_capsule(file: Path, reporter: Reporter = SILENT) -> Checkup:
    """Checks a capsule against itself, and against what this reslab makes of its records.

    Raises:
        UserError: It is none, or is not to be unpacked; the message says why.
    """
    with TemporaryDirectory() as folder:
        root = Path(folder) / "capsule"
        root.mkdir()
        digests = unpack(file, root)
        try:
            if faults := crate.faults(root, digests):
                return Checkup(None, tuple(faults))
            with _configurations(root):
                return _check(root, Path(folder), digests.keys(), reporter)
        except UserError as error:
            raise UserError(f"{file}: {named_within(root, str(error))}") from error
        except Exception as error:  # whatever a stranger's file makes the libraries stumble over
            said = str(error).partition("\n")[0] or type(error).__name__
            raise UserError(f"{file} cannot be checked: {named_within(root, said)}") from error


def _configurations(root: Path) -> AbstractContextManager[None]:
    """Has the capsule's own configurations be known."""
    return folder_added(root / CONF) if (root / CONF).is_dir() else nullcontext()


def _check(root: Path, folder: Path, names: Set[str], reporter: Reporter) -> Checkup:
    about = About.read(root / ABOUT)
    for key, text, _ in parse_overrides(about.overrides):
        if key.startswith("hydra") or key in WITHOUT_EFFECT:
            raise UserError(f"{ABOUT}: {text} is not allowed: it changes no result")
    table = load_table(about.table, about.overrides, quick=about.quick)
    sources = read_sources(root, folder / "sources", about)
    faults = [*_strays(table, names), *sources.faults]
    refuse_too_much(root / name for name in names if name.endswith(".npz"))
    asked = about.table, about.overrides
    verification = verify(*asked, quick=about.quick, reference=root / RECORDS)
    verdicts = [
        replace(one, reasons=tuple(named_within(root, reason) for reason in one.reasons))
        for one in verification.verdicts
    ]
    verification = replace(verification, verdicts=tuple(verdicts))
    if faults or any(one.record == FAIL for one in verdicts):
        return Checkup(verification, tuple(faults))  # no table is rendered of what is wrong
    findings, fresh = render_from(table, root, folder / "fresh", reporter)
    compared = _Comparison(root, fresh, about, sources)
    faults = [*compared.of_table(table), *compared.of_readme(findings)]
    remarks = [] if faults else [*compared.remarks()]
    return Checkup(verification, tuple(faults), (*remarks, *_of_code(findings, about)))


def _strays(table: Table, names: Set[str]) -> Iterator[str]:
    """What a capsule must have and this lacks, and what nothing in it is made of or checked by."""
    needed = {README, ABOUT, CONSTRAINTS, LICENSE, METADATA}
    optional = {RECORD}  # of the search that a recipe came out of
    yield from (f"{name} is missing" for name in sorted(needed - names))
    place = RECORDS / table.place.as_posix()
    runs = {kept_as(cell, table, Path(RECORDS)).directory.path.as_posix() for cell in table.cells}
    for name in sorted(names - needed - optional):
        path = PurePosixPath(name)
        folder = str(path.parent)
        belongs = (
            (folder == "." and path.suffix == ".whl")
            or (path.is_relative_to(CONF) and path.suffix == ".yaml")
            or (folder in runs and path.name in KEPT)
            or folder in (str(place), str(place / "figures"))
        )
        if not belongs:
            yield f"{name} is no part of a capsule of {table.publication.name}"


def _of_code(findings: Findings, about: About) -> Iterator[str]:
    """Whether the records are of the very sources that are in the capsule."""
    digests = [run.record.provenance.code_digest for run in findings.done]
    if others := sum(digest != about.code_digest for digest in digests):
        yield (
            f"{others} of {len(digests)} records name another digest of the code than that of the "
            f"sources in it"
        )
    if about.code_digest != code_digest():
        yield "it was checked by another version of the code than the one in it"


class _Comparison:
    """What is rendered anew beside what a capsule has.

    Args:
        root: The unpacked capsule.
        fresh: The folder with what was rendered of its records.
        about: What the capsule says of itself.
        sources: Its sources.
    """

    def __init__(self, root: Path, fresh: Path, about: About, sources: Sources) -> None:
        self.root, self.fresh, self.about, self.sources = root, fresh, about, sources
        here = About.here(about.table, about.overrides, about.quick, about.code_digest)
        self.others = [
            f"{name} {about.versions.get(name)} there, {one} here"
            for name, one in here.versions.items()
            if about.versions.get(name) != one
        ]
        if not sources.are_these:
            self.others.insert(0, "its sources are not those that run here")
        self.is_same = not self.others
        self.is_exact = self.is_same and about.processor == here.processor
        self.rounded: list[str] = []

    def of_table(self, table: Table) -> list[str]:
        """What is wrong with the table's files."""
        folder = self.root / RECORDS / table.place
        said, expected = _files(folder), _files(self.fresh)
        if TABLE not in said:
            return [f"{TABLE} is missing"]
        theirs, ours = (parse(path.read_bytes()) for path in (said[TABLE], expected[TABLE]))
        if found := list(differences(theirs, ours, whole=self.is_same)):
            return [f"{TABLE}: {one}" for one in found]
        if not self.sources.are_these:
            return []
        found = [f"{name} is missing, which its records give" for name in expected.keys() - said]
        found += [f"{name} is nothing that its records give" for name in said.keys() - expected]
        for name in sorted(said.keys() & expected.keys()):
            if cmp(said[name], expected[name], shallow=False):
                continue
            if self.is_exact or name.endswith(ROUNDED):
                found.append(f"{name} is not what its records give")
            else:
                self.rounded.append(name)
        return sorted(found)

    def of_readme(self, findings: Findings) -> list[str]:
        """What is wrong with the README."""
        has_conf = (self.root / CONF).is_dir()
        python = installed().metadata["Requires-Python"]
        text = readme(findings, self.about, self.sources.wheel, python, has_conf)
        if self.sources.are_these and (self.root / README).read_bytes() != text.encode():
            return [f"{README} is not what its records give"]
        return []

    def remarks(self) -> Iterator[str]:
        """How far things were compared."""
        if self.is_exact and not self.rounded:
            yield "the table, its pictures and the README, made anew, are the same to the byte"
        elif self.sources.are_these:
            others = "; ".join(self.others) or f"made on {self.about.processor}"
            yield (
                f"the table and the README, made anew, say the same; not the same to the byte, and "
                f"so not checked: {', '.join(self.rounded) or 'nothing'} ({others})"
            )
        else:
            yield (
                f"NOT CHECKED: texts, pictures and page, for {self.others[0]}. {TABLE}, made anew, "
                f"has the same numbers; the commands in {README} install what checks the rest, and "
                f"that is code of whoever made the capsule"
            )


def _files(folder: Path) -> dict[str, Path]:
    """The files of a table by their names, those of its runs left out."""
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*")}
    return {
        name: path
        for name, path in found.items()
        if path.is_file() and not name.startswith("runs/")
    }
