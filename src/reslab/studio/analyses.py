"""Analyses of the chosen runs: those that are kept, as figures, and what finds others."""

import asyncio
import shlex
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.errors import UserError
from reslab.runs.store import RunDirectory
from reslab.studio.analyzing import Analyzing
from reslab.studio.downloads import Downloads
from reslab.studio.drawn import Drawn
from reslab.studio.figures import as_item
from reslab.studio.runs import COLUMNS
from reslab.studio.security import Handler, RequestError

if TYPE_CHECKING:
    from reslab.analyze.kept import SideBySide

MOST_RUNS = 12  # side by side
PICTURES = ("png", "pdf")

Titled = list[tuple[str, str]]
"""Runs' titles and folders."""


class OfRuns(Handler):
    """What is asked of runs that are finished; others have no analyses."""

    @property
    def analyzing(self) -> Analyzing:
        """The analyses that were started here."""
        if "analyzing" not in self.settings:
            self.settings["analyzing"] = Analyzing()
        analyzing: Analyzing = self.settings["analyzing"]
        return analyzing

    async def finished(self) -> dict[str, tuple[str, RunDirectory]]:
        """Of the runs that are asked for those that are finished: titles and folders by name."""
        names = self.get_query_arguments("run", strip=False)
        return await asyncio.to_thread(self._whole, list(dict.fromkeys(names)))

    def _whole(self, names: Sequence[str]) -> dict[str, tuple[str, RunDirectory]]:
        self.scan.read_all()
        found = {}
        for name in names:
            one = self.scan.known(name)
            if one and one.repeat and one.repeat.record:
                text = dict(zip(COLUMNS, one.line["text"], strict=True))
                found[name] = (f"{text['Run']}, seed {text['Seed']}", one.directory)
        return dict(list(found.items())[:MOST_RUNS])

    async def titled(self) -> Titled:
        """The same for the process that computes."""
        return [(title, str(run.path)) for title, run in (await self.finished()).values()]


class Analyses(Drawn, OfRuns):
    """What is kept of the runs, and what is being found."""

    template = "analyses.html"

    async def get(self) -> None:
        finished = await self.finished()
        answer: dict[str, Any] = {"answers": [], "spoilt": []}
        if any(run.analyses.is_dir() for _, run in finished.values()):
            answer = await self.worker.run(look_up, runs=await self.titled())
        self.answer(answer | {"jobs": self.analyzing.of(finished), "runs": list(finished)})


class Form(Drawn, OfRuns):
    """What can be asked."""

    template = "analyze.html"

    async def get(self) -> None:
        runs = list(await self.finished())
        kinds = await self.worker.run(about_kinds) if runs else []
        self.answer({"runs": runs, "kinds": kinds, "most": MOST_RUNS})


class Figure(OfRuns):
    """What was found to one question, as a figure."""

    async def get(self) -> None:
        name = self.get_query_argument("name")
        self.answer(await self.worker.run(show, runs=await self.titled(), name=name))


class Picture(OfRuns, Downloads):
    """The same as a file."""

    async def get(self) -> None:
        name, ending = self.get_query_argument("name"), self.get_query_argument("ending")
        if ending not in PICTURES:
            raise RequestError(404, f"there is no {ending}: one of {', '.join(PICTURES)}")
        with tempfile.TemporaryDirectory(prefix="reslab-studio-") as folder:
            path = Path(folder) / "picture"
            runs = await self.titled()
            await self.worker.run(draw, runs=runs, name=name, path=str(path))
            await self.send(path.with_suffix(f".{ending}"), f"{name}.{ending}")


class Begin(OfRuns):
    """Starts `reslab analyze` for runs; what is asked is looked at first."""

    async def post(self) -> None:
        asked = self.asked()
        names, kind, words = asked.get("runs"), asked.get("kind"), asked.get("words", "")
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
            raise RequestError(400, "runs must be a list of texts")
        if not (isinstance(kind, str) and isinstance(words, str)):
            raise RequestError(400, "give a kind of analysis, and what is asked as a text")
        if not 0 < len(names) <= MOST_RUNS:
            raise RequestError(400, f"choose from 1 to {MOST_RUNS} finished runs")
        runs = [await asyncio.to_thread(self.scan.find, name) for name in names]
        for run in runs:
            if run.state() != "finished":
                raise UserError(f"{run.name} is {run.state()}: an analysis is of finished runs")
        data_dir = str(self.settings["data_dir"])
        await self.worker.run(check, kind=kind, words=words, data_dir=data_dir)
        await asyncio.to_thread(self.analyzing.begin, runs, kind, _words(words))
        self.answer({})


def _words(text: str) -> list[str]:
    """A text's words, as a shell has them.

    Raises:
        UserError: A quotation has no end.
    """
    try:
        return shlex.split(text)
    except ValueError as error:
        raise UserError(f"{text}: {str(error).lower()}") from error


class End(OfRuns):
    """Has an analysis keep what it has found and end; of one that has ended nothing is shown."""

    async def post(self) -> None:
        name = self.asked().get("job")
        await asyncio.to_thread(self.analyzing.end, name if isinstance(name, str) else "")
        self.answer({})


HANDLERS = [
    ("analyses", Analyses),
    ("analyses/form", Form),
    ("analyses/figure", Figure),
    ("analyses/picture", Picture),
    ("analyses/begin", Begin),
    ("analyses/end", End),
]


# What follows is called in the process that computes.


def look_up(runs: Titled) -> dict[str, Any]:
    """What is kept of runs, question by question, and what is wrong with files."""
    found, spoilt = _side_by_side(runs)
    answers = [
        {
            "name": one.question.name,
            "kind": one.question.kind,
            "words": one.question.words,
            "titles": one.titles,
        }
        for one in found
    ]
    return {"answers": answers, "spoilt": spoilt}


def about_kinds() -> list[dict[str, str]]:
    """The kinds of analyses, each with what is usual."""
    from reslab.analyze.kinds import KINDS
    from reslab.analyze.question import typed

    return [{"kind": kind, "usual": typed(one.settings())} for kind, one in KINDS.items()]


def show(runs: Titled, name: str) -> dict[str, Any]:
    """What was found to the question of that name, as the page's `figure` takes it.

    Raises:
        UserError: It is not there.
    """
    from bokeh.models import Plot

    from reslab.reports.layout import below

    parts = below(*_one(runs, name).show(), name=name)
    for plot in parts.select({"type": Plot}):
        plot.toolbar.logo = None
        plot.toolbar.active_drag = None  # a finger that drags scrolls the page
    return as_item(parts)


def draw(runs: Titled, name: str, path: str) -> None:
    """Draws the same, as PNG and PDF.

    Raises:
        UserError: It is not there.
    """
    _one(runs, name).draw(Path(path))


def check(kind: str, words: str, data_dir: str) -> None:
    """Looks at what is to be asked.

    Raises:
        UserError: What is wrong with it.
    """
    from reslab.analyze.kinds import settings_of

    settings = settings_of(kind, _words(words))
    official = getattr(settings, "official", None)
    if official and not Path(official).is_relative_to(Path(data_dir).resolve()):
        raise UserError(f"official={official}: here it must lie below {data_dir}")


def _one(runs: Titled, name: str) -> "SideBySide":
    found = next((one for one in _side_by_side(runs)[0] if one.question.name == name), None)
    if found is None:
        raise UserError("that analysis is not kept any more")
    return found


def _side_by_side(runs: Titled) -> "tuple[list[SideBySide], list[str]]":
    from reslab.analyze.kept import side_by_side

    return side_by_side([(title, [RunDirectory(Path(path))]) for title, path in runs])
