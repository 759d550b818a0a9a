"""Answers to what reproducibility checklists ask of experiments, from a table's records alone."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from statistics import fmean, stdev
from typing import Any

from omegaconf import OmegaConf

from reslab.markdown import markdown_table
from reslab.tables.columns import COLUMNS, Line, with_spread
from reslab.tables.findings import Findings
from reslab.tables.finished import FinishedRun
from reslab.tables.searched import describe_search

ABOUT = (
    "What the checklists of NeurIPS and ICML and the machine learning reproducibility checklist "
    "(Pineau et al.) ask of experiments, answered by the records of {runs}. What these do not say "
    "is unknown."
)
HEADINGS = ("Model", "Seeds", "Runs", "Epochs", "Chosen", "Val. acc., %", "Test acc., %", "Hours")
OF_RUNS = (
    "Epochs: that each run had, in the order of seeds; chosen: the one whose weights were tested. "
    "Accuracy: mean ± sample standard deviation over the runs, by the same weights on validation "
    "and on the test set. Hours: of all epochs of all runs. A seed decides initialization, order "
    "and augmentation."
)
UNKNOWN = "unknown"
HYPERPARAMETERS = {
    "Optimizer": "optimizer",
    "Batch": "dataset.batch_size",
    "Augmentation": "augment",
    "Label smoothing": "label_smoothing",
    "Moving average of the weights": "ema",
    "Lookahead": "lookahead",
    "Network": "model",
}
MEBIBYTE = 2**20


def checklist(findings: Findings) -> str:
    """The answers as GitHub shows them; of a table with a finished run."""
    runs = findings.done
    sections = {
        "Runs, seeds, validation beside test": _runs(findings),
        "How the reported epoch was chosen": _bullets(_each(runs, _selection)),
        "Hyperparameters": _bullets(_hyperparameters(runs)),
        "How hyperparameters were chosen": _bullets(_choice(runs)),
        "Data": _bullets(_each(runs, _data)),
        "Compute": _bullets([*_each(runs, _machine), *_compute(runs)]),
        "Code and packages": _bullets([*_each(runs, _code), *_of_all_code()]),
        "Central tendency, intervals and known deviations": _bullets(
            note.replace("*", r"\*") for note in findings.notes
        ),
    }
    about = ABOUT.format(runs=f"{len(runs)} run{'s' * (len(runs) > 1)}")
    parts = [f"### {findings.table.heading}: answers for reproducibility checklists", about]
    parts += [f"#### {heading}\n\n{text}" for heading, text in sections.items()]
    return "\n\n".join(parts) + "\n"


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _runs(findings: Findings) -> str:
    rows = []
    for line in findings.lines:
        runs = [run for run in findings.done if run.cell.row.name == line["model"]]
        rows.append(_row(line, runs))
    return f"{markdown_table(HEADINGS, rows)}\n\n{OF_RUNS}"


def _row(line: Line, runs: Sequence[FinishedRun]) -> list[str]:
    said = {column.name: column.text(line) for column in COLUMNS}
    validation = [100 * run.record.val_accuracy for run in runs]
    spread = stdev(validation) if len(runs) > 1 else None
    return [
        line["model"],
        ", ".join(map(str, line["seeds"])),
        said["n"],
        " / ".join(str(run.record.epochs) for run in runs),
        " / ".join(str(run.record.best_epoch) for run in runs),
        with_spread(fmean(validation), spread) if runs else "",
        said["accuracy"],
        f"{_hours(runs):.3f}" if runs else "",
    ]


def _hours(runs: Sequence[FinishedRun]) -> float:
    return sum(run.record.seconds for run in runs) / 3600


def _each(runs: Sequence[FinishedRun], say: Callable[[FinishedRun], str]) -> list[str]:
    """What is said of runs, once for all of which it is the same."""
    groups: dict[str, dict[str, list[str]]] = {}
    for run in runs:
        rows = groups.setdefault(say(run), {})
        rows.setdefault(run.cell.row.name, []).append(str(run.cell.seed))
    if len(groups) == 1:
        return [f"All runs: {text}." for text in groups]
    return [f"{_named(rows)}: {text}." for text, rows in groups.items()]


def _named(rows: dict[str, list[str]]) -> str:
    """Rows, each with the seeds that are meant."""
    return "; ".join(f"{name} (seed {', '.join(seeds)})" for name, seeds in rows.items())


def _selection(run: FinishedRun) -> str:
    cfg, dataset = run.cfg, run.cfg.dataset
    once = "; the test set was read at the end and chose nothing"
    if dataset.get("validate_on_test"):
        on, once = "on the test set itself, so that what is reported was chosen on it", ""
    elif (held_out := dataset.get("val_size")) is None:
        on = "on the data set's own validation set"
    else:
        split = dataset.get("split_seed", UNKNOWN)
        on = f"on {held_out:,} images held out of the training set, stratified, split seed {split}"
    steps = cfg.get("max_steps")
    length = f"{steps:,} steps" if steps else f"at most {cfg.trainer.max_epochs} epochs"
    patience = cfg.get("patience")
    ends = f"; ends after {patience} epochs without a better one" if patience else ""
    return f"the epoch of the best {cfg.get('monitor', UNKNOWN)} {on}; {length}{ends}{once}"


def _hyperparameters(runs: Sequence[FinishedRun]) -> Iterator[str]:
    for name, key in HYPERPARAMETERS.items():
        if all(OmegaConf.select(run.cfg, key) is None for run in runs):
            continue  # an option that is not used, or came later
        yield from (f"**{name}.** {line}" for line in _each(runs, partial(_configured, key)))


def _configured(key: str, run: FinishedRun) -> str:
    value = OmegaConf.select(run.cfg, key)
    plain: Any = OmegaConf.to_container(value) if OmegaConf.is_config(value) else value
    return f"`{_as_call(plain)}`"


def _as_call(value: Any) -> str:
    """What a configuration builds, as Python would write it."""
    if isinstance(value, list):
        return f"[{', '.join(map(_as_call, value))}]"
    if not isinstance(value, dict):
        return str(value)
    given = {k: v for k, v in value.items() if k not in ("_target_", "_partial_") and v is not None}
    arguments = ", ".join(f"{key}={_as_call(one)}" for key, one in given.items())
    return f"{value.get('_target_', 'dict').rpartition('.')[2]}({arguments})"


def _choice(runs: Sequence[FinishedRun]) -> Iterator[str]:
    recipes: dict[str, list[str]] = {}
    for recipe in dict.fromkeys(run.cell.row.recipe for run in runs):
        recipes.setdefault(describe_search(recipe), []).append(f"`{recipe}`")
    for text, names in recipes.items():
        yield f"Recipe {', '.join(names)}: {text}."


def _data(run: FinishedRun) -> str:
    dataset: Any = OmegaConf.to_container(run.cfg.dataset, resolve=True)
    source = dataset.get("source") or {}
    archives = [f"`{name}` {digest}" for name, digest in (source.get("archives") or {}).items()]
    return (
        f"{run.cell.dataset}, {len(run.labels):,} test images; SHA-256 of all images and labels "
        f"`{run.record.provenance.data_digest}`; downloaded as {', '.join(archives) or 'no file'}; "
        f"license {UNKNOWN}: neither record nor configuration names one"
    )


def _machine(run: FinishedRun) -> str:
    ran, asked = run.record.provenance, run.cfg.trainer.get("deterministic", UNKNOWN)
    devices = f"{ran.world_size} devices, " if ran.world_size > 1 else ""
    return (
        f"{devices}{ran.hardware}, {ran.precision}, {ran.threads} CPU threads, "
        f"`trainer.deterministic={str(asked).lower()}`"
    )


def _compute(runs: Sequence[FinishedRun]) -> Iterator[str]:
    yield f"In all {_hours(runs):.3f} hours of epochs, without start-up and the test set."
    if beside := sum(not run.trained_alone for run in runs):
        yield f"{beside} of {len(runs)} runs trained beside other work on the machine, or may have."
    peak = max(run.record.peak_memory_bytes for run in runs) / MEBIBYTE
    yield f"Peak memory: {peak:,.0f} MiB at the most."
    yield f"Runs that failed, were tried before or belong to a search, and energy: {UNKNOWN}."


def _code(run: FinishedRun) -> str:
    ran = run.record.provenance
    commit = f"commit `{ran.git.rstrip('+')}`" if ran.git else f"commit {UNKNOWN}"
    changed = ", with files that differ from it" if ran.git and ran.git.endswith("+") else ""
    versions = ", ".join(f"{name} {number}" for name, number in ran.versions.items())
    return f"{commit}{changed}; code digest `{ran.code_digest}`; {versions}"


def _of_all_code() -> Iterator[str]:
    yield "reslab is under the MIT license."
    yield (
        "`constraints.txt` pins the packages that `make install` installs today, with their "
        "digests; those that each run had are named above."
    )
