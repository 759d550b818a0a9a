"""The view Train: a form, what it will be, and its start."""

import asyncio
import shlex
from pathlib import Path
from typing import Any

from reslab.config import own_folders
from reslab.errors import UserError
from reslab.progress import in_words
from reslab.studio.control import QueueHandler, where_runs_lie
from reslab.studio.drawn import Drawn, address
from reslab.studio.form import read_form
from reslab.studio.pace import Work, estimate_seconds
from reslab.studio.security import RequestError


class TrainHandler(QueueHandler):
    """What handlers share that are sent a form."""

    def values(self) -> dict[str, str]:
        """What the form has, as texts.

        Raises:
            RequestError: It is something else.
        """
        values = self.asked().get("values")
        if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
            raise RequestError(400, "values must be texts by their keys")
        return values


class Form(Drawn, TrainHandler):
    """The form."""

    template = "form.html"

    async def post(self) -> None:
        self.answer(await asyncio.to_thread(read_form, self.values()))


class Preview(Drawn, TrainHandler):
    """What will be trained."""

    template = "preview.html"

    async def post(self) -> None:
        found = await self.worker.run(preview, values=self.values())
        runs = found.pop("runs", [])
        overrides, number = found.pop("overrides"), found.get("number", 1)
        if runs:  # nothing is wrong: a command without what is would be another run's
            found["command"] = _command(overrides, self.scan.folder, number)
        records = await asyncio.to_thread(self.scan.records)
        there = await self.there()
        left = [one for one in runs if one["name"] not in there]
        finished = [one for one in runs if there.get(one["name"]) == "finished"]
        seconds = [estimate_seconds(Work(**one["work"]), records) for one in left]
        known = [one for one in seconds if one is not None]
        found |= {
            "names": [one["name"] for one in runs],
            "finished": len(finished),
            "begun": len(runs) - len(left) - len(finished),
            "time": in_words(sum(known)) if len(known) == len(left) else "",
            "left": len(left),
        }
        found["facts"] = _facts(found) if runs else []
        self.answer(found)


class Drawing(Drawn, TrainHandler):
    """A drawing of the network."""

    template = "drawing.html"

    async def post(self) -> None:
        self.answer({"svg": await self.worker.run(draw, values=self.values())})


class Start(TrainHandler):
    """Puts what the form describes into the queue."""

    async def post(self) -> None:
        runs = await self.worker.run(list_runs, values=self.values())
        self.answer({"added": await self.begin(runs)})


def preview(values: dict[str, str]) -> dict[str, Any]:
    """What a form comes to; called beside the server."""
    from reslab.studio import preview

    return preview.preview(values)


def draw(values: dict[str, str]) -> str:
    """A drawing of the network; called beside the server."""
    from reslab.studio import preview

    return preview.draw(values)


def list_runs(values: dict[str, str]) -> list[dict[str, Any]]:
    """The runs that a form comes to; called beside the server.

    Raises:
        UserError: It is wrong.
    """
    from reslab.studio import preview

    found = preview.preview(values)
    for error in (*found["errors"].values(), found["error"]):
        if error:
            raise UserError(error)
    runs: list[dict[str, Any]] = found["runs"]
    return runs


def _facts(found: dict[str, Any]) -> list[tuple[str, ...]]:
    """What is shown of the runs: names and texts, and where a text leads to, if it does."""
    names, many = found["names"], len(found["names"]) > 1
    time = f"about {found['time']}{' in all' if many else ''}" if found["time"] else ""

    def there(number: int) -> str:
        return f"{number} of them" if many else "already"

    facts: list[tuple[str, ...]] = [("Sweep", f"{len(names)} runs") if many else ("Run", names[0])]
    if found["finished"]:
        seen = address("runs", q="" if many else names[0])
        facts.append(("Finished", there(found["finished"]), f"#{seen}"))
    if found["begun"]:
        facts.append(("In the queue", there(found["begun"])))
    facts.append(("Parameters", f"{found['parameters']:,}"))
    facts.append(("MACs", f"{found['macs']:,} an image"))
    if found["left"]:
        facts.append(("Time", time or "not known: no run here tells yet"))
    return facts


def _command(overrides: list[str], folder: Path, number: int) -> str:
    """What does the same in a terminal."""
    folders = [f"--config-dir={one}" for one in own_folders()]
    sweep = ["-m"] if number > 1 else []
    return shlex.join(["reslab", "train", *sweep, *folders, *overrides, *where_runs_lie(folder)])


HANDLERS: list[tuple[str, Any]] = [
    ("train/form", Form),
    ("train/preview", Preview),
    ("train/drawing", Drawing),
    ("train/start", Start),
]
