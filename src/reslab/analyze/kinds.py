"""The analyses that there are, and what is done for each of them alike."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from bokeh.models import UIElement

from reslab.analyze import corruption, corruption_pictures, landscape, landscape_pictures
from reslab.analyze.opened import Opened, opened
from reslab.analyze.question import Question, parsed
from reslab.classifier import Classifier
from reslab.data import ImageData
from reslab.errors import UserError
from reslab.predicting.engine import BATCH_SIZE
from reslab.predicting.load import data_of, load
from reslab.reporter import SILENT, Reporter
from reslab.reports.layout import write_page
from reslab.runs.analyses import damaged
from reslab.runs.record import Record
from reslab.runs.store import RunDirectory


@dataclass(frozen=True)
class Kind:
    """An analysis.

    Attributes:
        settings: The data class of what may be asked.
        read: Of a run, the settings and the arrays that are kept, what was found; None if that is
            not whole.
        select: Of a data set by the settings what it computes on, a `UserError` if that cannot be.
        add: Adds what is not kept yet: takes the run, what was selected, the settings, and who is
            told.
        draw: Draws what was found for several: takes that, each one's title, the question, and a
            path without an ending.
        show: The same as parts of a page.
    """

    settings: Any
    read: Callable[[RunDirectory, Any, Mapping[str, np.ndarray]], Any]
    select: Callable[[ImageData, Any], Any]
    add: Callable[[Opened, Any, Any, Reporter], None]
    draw: Callable[[Sequence[Any], Sequence[str], Question, Path], Path]
    show: Callable[[Sequence[Any], Sequence[str], Question], list[UIElement]]


KINDS = {
    "landscape": Kind(
        landscape.Settings,
        landscape.read,
        landscape.select,
        landscape.add,
        landscape_pictures.draw,
        landscape_pictures.show,
    ),
    "corruption": Kind(
        corruption.Settings,
        corruption.read,
        corruption.select,
        corruption.add,
        corruption_pictures.draw,
        corruption_pictures.show,
    ),
}


@dataclass(frozen=True)
class Analyzed:
    """What came of it.

    Attributes:
        lines: Each run's name, and a line about what was found for it.
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
    """Analyzes finished runs, each once, and draws them together in a folder in `output/KIND`.

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
        UserError: There is no such kind, run or setting, a run is given twice or not finished, or
            its data are not there.
    """
    question = Question(kind, settings_of(kind, words))
    one = KINDS[kind]
    classifiers = [load(run, runs_dir, device=device, batch_size=batch_size) for run in runs]
    titles: dict[Path, str] = {}
    for run, classifier in zip(runs, classifiers, strict=True):
        if classifier.directory is None or classifier.record is None:
            raise UserError(f"{run} is no finished run: what is found is kept beside one")
        if (folder := classifier.directory.path.resolve()) in titles:
            raise UserError(f"{run} is given twice: name each run once")
        titles[folder] = titled(classifier.name, classifier.record)
    found = []
    for classifier in classifiers:
        reporter.say(f"{kind} of {classifier.name}")
        data = partial(data_of, classifier, data_dir, reporter)
        found.append(find(kind, classifier, data, question.settings, reporter))
    names = [one.name for one in classifiers]
    path = output / kind / _folder(names) / (question.name if question.words else kind)
    path.parent.mkdir(parents=True, exist_ok=True)
    one.draw(found, list(titles.values()), question, path)
    page = write_page(
        path.with_suffix(".html"),
        f"{kind.capitalize()} of {', '.join(names)}",
        *one.show(found, list(titles.values()), question),
        name=kind,
    )
    pictures = (path.with_suffix(suffix) for suffix in (".png", ".pdf"))
    return Analyzed(tuple(zip(names, map(str, found), strict=True)), (*pictures, page))


def find(
    kind: str,
    classifier: Classifier,
    data: Callable[[], ImageData],
    settings: Any,
    reporter: Reporter = SILENT,
) -> Any:
    """What a kind finds of a run: what is kept of that, and what is added where it is not whole.

    Args:
        kind: One of `KINDS`.
        classifier: The run's network, on the device that is to compute.
        data: Gets its data set ready, which is asked for where something is missing.
        settings: What is asked for.
        reporter: Told how far it is.

    Raises:
        UserError: What is kept is damaged, another process is at it, or the data do not do for it.
    """
    run = opened(classifier, kind, settings)
    if (found := _kept(run, kind, settings)) is None:
        selected = KINDS[kind].select(data(), settings)
        with run.kept.alone():
            KINDS[kind].add(run, selected, settings, reporter)
        found = _kept(run, kind, settings)
        assert found is not None
    return found


def _kept(run: Opened, kind: str, settings: Any) -> Any:
    """What is kept, None before it is whole."""
    arrays = run.kept.read()
    try:
        return KINDS[kind].read(run.directory, settings, arrays) if arrays else None
    except Exception as error:  # whatever arrays of another version make the kind stumble over
        raise UserError(damaged(run.kept.path)) from error


def _folder(names: Sequence[str]) -> str:
    """Of some runs' pictures: of several by the first one's name and a digest of all."""
    if len(names) == 1:
        return names[0]
    digest = hashlib.sha256("\0".join(names).encode()).hexdigest()[:8]
    return f"{names[0]}+{len(names) - 1}-{digest}"


def titled(name: str, record: Record) -> str:
    """What stands above what was found of a run: a name, and its test accuracy."""
    return f"{name}, test {record.test_accuracy:.2%}"


def settings_of(kind: str, words: Sequence[str]) -> Any:
    """What words ask of a kind of analysis.

    Raises:
        UserError: There is no such kind, or a key or value is none of its, or a key is given twice.
    """
    if kind not in KINDS:
        raise UserError(f"{kind} is no analysis: choose {', '.join(KINDS)}")
    return parsed(KINDS[kind].settings, words)
