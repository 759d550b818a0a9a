"""The analyses that there are, and what is done for each of them alike."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from reslab.analyze import landscape
from reslab.analyze.figures import draw_landscapes
from reslab.classifier import Classifier
from reslab.content import build
from reslab.data import ImageData
from reslab.errors import UserError
from reslab.predicting.engine import BATCH_SIZE
from reslab.predicting.load import data_of, load
from reslab.reporter import SILENT, Reporter


@dataclass(frozen=True)
class Kind:
    """An analysis.

    Attributes:
        settings: The data class of what may be asked.
        find: Finds it for a run: takes its network, its data, the settings, and who is told.
        draw: Draws what was found for several: takes that, their names, the settings and a path
            without an ending.
        says: A line about what was found for one.
    """

    settings: Any
    find: Callable[[Classifier, ImageData, Any, Reporter], Any]
    draw: Callable[[Sequence[Any], Sequence[str], Any, Path], Path]
    says: Callable[[Any], str]


KINDS = {
    "landscape": Kind(
        landscape.Settings, landscape.landscape, draw_landscapes, landscape.Landscape.__str__
    ),
}


@dataclass(frozen=True)
class Analyzed:
    """What came of it.

    Attributes:
        lines: Each run's name and what was found for it.
        written: The files.
    """

    lines: tuple[tuple[str, str], ...]
    written: tuple[Path, ...]


def analyze(
    runs: Sequence[str],
    kind: str,
    words: Sequence[str] = (),
    *,
    output: Path = Path("outputs/analyses"),
    device: str = "auto",
    batch_size: int = BATCH_SIZE,
    data_dir: str | None = None,
    runs_dir: Path = Path("outputs/runs"),
    reporter: Reporter = SILENT,
) -> Analyzed:
    """Analyzes finished runs, each once, and draws them together below `output/KIND`.

    Args:
        runs: Each as `load` takes a run.
        kind: One of `KINDS`.
        words: What is asked for, each as `key=value`.
        output: Where a folder for the kind is written.
        device: As `load` takes it, and likewise the next.
        batch_size: Images computed at once.
        data_dir: Where the data sets lie, if not where the runs found them.
        runs_dir: Where runs lie.
        reporter: Told how far it is.

    Raises:
        UserError: There is no such kind, run or setting, a run is not finished, or its data are not
            there.
    """
    if kind not in KINDS:
        raise UserError(f"{kind} is no analysis: choose {', '.join(KINDS)}")
    one = KINDS[kind]
    settings = _settings(one.settings, words)
    classifiers = [load(run, runs_dir, device=device, batch_size=batch_size) for run in runs]
    for classifier in classifiers:
        if classifier.directory is None or classifier.record is None:
            raise UserError(f"{classifier.name} is no finished run: analyses are kept beside one")
    found = []
    for classifier in classifiers:
        reporter.say(f"{kind} of {classifier.name}")
        found.append(one.find(classifier, data_of(classifier, data_dir, reporter), settings, reporter))
    names = [classifier.name for classifier in classifiers]
    folder = output / kind
    folder.mkdir(parents=True, exist_ok=True)
    path = one.draw(found, names, settings, folder / "+".join(names))
    lines = zip(names, map(one.says, found), strict=True)
    return Analyzed(tuple(lines), (path.with_suffix(".png"), path.with_suffix(".pdf")))


def _settings(kind: Any, words: Sequence[str]) -> Any:
    """What words ask for.

    Raises:
        UserError: A key or value is none of the kind's.
    """
    known = [one.name for one in fields(kind)]
    values = {}
    for word in words:
        key, _, value = word.partition("=")
        if key not in known:
            raise UserError(f"{word}: there is no {key}; choose from {', '.join(known)}")
        try:
            values[key] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise UserError(f"{word}: this is no value") from error
    try:
        return build(kind, values)
    except ValueError as error:
        raise UserError(str(error)) from error
