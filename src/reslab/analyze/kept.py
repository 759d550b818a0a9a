"""What is kept already of analyses, side by side, without the networks and the data."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bokeh.models import UIElement

from reslab.analyze.kinds import KINDS, titled
from reslab.analyze.opened import best_digest
from reslab.analyze.question import Question
from reslab.content import build
from reslab.errors import UserError
from reslab.runs.analyses import damaged, read
from reslab.runs.store import RunDirectory


@dataclass
class SideBySide:
    """What was found of several to one question.

    Attributes:
        question: The question.
        titles: Of each its name and its run's test accuracy, see `titled`.
        found: What was found.
    """

    question: Question
    titles: list[str] = field(default_factory=list)
    found: list[Any] = field(default_factory=list)

    def draw(self, path: Path) -> Path:
        """Draws it as PNG and PDF, at a path without an ending."""
        return KINDS[self.question.kind].draw(self.found, self.titles, self.question, path)

    def show(self) -> list[UIElement]:
        """The same as parts of a page."""
        return KINDS[self.question.kind].show(self.found, self.titles, self.question)


def kept(run: RunDirectory) -> tuple[dict[Question, Any], list[str]]:
    """What is kept whole of the network that a run has now, and a line for each spoilt file.

    What was found of another training's weights is passed over, and what is not whole yet. Of the
    same question that was answered with other numbers' precision, the last answer counts.
    """
    found: dict[Question, Any] = {}
    spoilt = []
    for path in sorted(run.analyses.glob("*.npz"), key=_written):
        kind = path.name.rpartition("-")[0]
        if kind not in KINDS or not path.resolve().is_relative_to(run.path.resolve()):
            continue
        try:
            asked, arrays = read(path)
            if asked.get("weights") != best_digest(run):
                continue
            settings = build(KINDS[kind].settings, asked)
            if (one := KINDS[kind].read(run, settings, arrays)) is not None:
                found[Question(kind, settings)] = one
        except UserError as error:
            spoilt.append(str(error))
        except Exception:  # whatever arrays of another version make the kind stumble over
            spoilt.append(damaged(path))
    return found, spoilt


def side_by_side(
    runs: Sequence[tuple[str, Sequence[RunDirectory]]],
) -> tuple[list[SideBySide], list[str]]:
    """What is kept, question by question.

    Args:
        runs: Names, and for each the runs of which the first one with an answer counts.

    Returns:
        The answers, by their questions' kind; and a line for each spoilt file.
    """
    answers: dict[Question, SideBySide] = {}
    spoilt = []
    for name, candidates in runs:
        has: set[Question] = set()
        for run in candidates:
            found, lines = kept(run)
            spoilt.extend(lines)
            record = run.record() if found else None
            for question, one in found.items():
                if record is None or question in has:
                    continue
                has.add(question)
                answer = answers.setdefault(question, SideBySide(question))
                answer.titles.append(titled(name, record))
                answer.found.append(one)
    order = list(KINDS)
    in_order = sorted(answers.values(), key=lambda one: _place(one.question, order))
    return in_order, spoilt


def _place(question: Question, order: Sequence[str]) -> tuple[int, str, str]:
    return order.index(question.kind), question.words, question.name


def _written(path: Path) -> tuple[int, str]:
    try:
        return path.stat().st_mtime_ns, path.name
    except OSError:  # deleted just now
        return 0, path.name
