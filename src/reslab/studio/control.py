"""The queue and the runs in it: started, ordered, stopped, gone on with and started over."""

import asyncio
import contextlib
import os
import re
import socket
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tornado.ioloop import PeriodicCallback
from tornado.web import Application

from reslab.config import own_folders, parse_overrides
from reslab.errors import UserError
from reslab.jobs.slurm_queue import settle
from reslab.progress import in_words
from reslab.reporter import Reporter
from reslab.runs.control import request_to_repeat, stop
from reslab.runs.pins import as_typed
from reslab.runs.request import Request
from reslab.runs.store import RunDirectory
from reslab.studio.drawn import Drawn
from reslab.studio.entries import Entry
from reslab.studio.form import options
from reslab.studio.queue import Queues
from reslab.studio.scan import Scan
from reslab.studio.security import Handler, RequestError

SECONDS_BETWEEN_LOOKS = 0.5
SECONDS_BETWEEN_QUESTIONS = 10.0  # to a cluster, if runs are in its queue
SECONDS_TO_STOP = 20.0  # after which the answer waits no longer; the run saves nevertheless
USUAL_RUNS_DIR = Path("outputs/runs")
PLAIN = re.compile(r"[\w./-]+", re.ASCII)  # a path that needs no quotes


class QueueHandler(Handler):
    """What handlers share that have to do with the queue."""

    @property
    def queues(self) -> Queues:
        """The queue."""
        queues: Queues = self.settings["queues"]
        return queues

    def names(self, key: str) -> list[str]:
        """A list of texts that was sent.

        Raises:
            RequestError: It is something else.
        """
        names = self.asked().get(key)
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RequestError(400, f"{key} must be a list of texts")
        return names

    async def there(self) -> dict[str, str]:
        """Runs that are not to be begun, by their names: finished, running or in the queue."""
        facts = await asyncio.to_thread(self.scan.facts)
        there = {one.name: one.state for one in facts if one.state in ("finished", "running")}
        queued = (await asyncio.to_thread(self.queues.read)).entries
        return there | {one.name: "in the queue" for one in queued if not one.has_ended}

    async def begin(self, runs: Sequence[dict[str, Any]]) -> list[str]:
        """Puts runs into the queue, those left out that are finished, running or waiting.

        Returns:
            The names of the others.

        Raises:
            UserError: There are no others.
        """
        there = await self.there()
        added = {
            run["name"]: Entry(
                name=run["name"],
                overrides=(*run["overrides"], *where_runs_lie(self.scan.folder)),
                folder=os.getcwd(),
                config_dirs=tuple(own_folders()),
            )
            for run in runs
            if run["name"] not in there
        }
        if not added:
            name = runs[0]["name"]
            rerun = ": Rerun, among the runs, starts it over" if there[name] == "finished" else ""
            raise UserError(f"{name} is {there[name]} already{rerun}")
        await asyncio.to_thread(self.queues.add, list(added.values()))
        return list(added)


class State(Drawn, QueueHandler):
    """The queue, and a text that changes with what the form offers."""

    template = "queue.html"

    async def get(self) -> None:
        queue = await asyncio.to_thread(self.queues.read)
        entries = []
        for one in queue.entries:
            typed = [text for text in one.overrides if not text.startswith("runs_dir=")]
            at = one.cell(self.scan.folder).directory.progress() if one.is_running else None
            entries.append(
                {
                    **{"id": one.id, "name": one.name, "state": one.state, "reason": one.reason},
                    **{"overrides": " ".join(typed), "stopping": one.stopping},
                    **{"done": at and at.done, "left": in_words(at.seconds_left) if at else ""},
                }
            )
        named = {one["name"] for one in entries}
        others = sorted(await asyncio.to_thread(running_here, self.scan) - named)
        stamp = await asyncio.to_thread(options)
        self.answer(
            {"at_once": queue.at_once, "entries": entries, "others": others, "options": stamp}
        )


class Order(QueueHandler):
    """Orders what waits."""

    async def post(self) -> None:
        await asyncio.to_thread(self.queues.set_order, self.names("ids"))
        self.answer({})


class AtOnce(QueueHandler):
    """Says how many go on at once."""

    async def post(self) -> None:
        number = self.asked().get("number")
        if type(number) is not int:
            raise RequestError(400, "at once: give a whole number")
        await asyncio.to_thread(self.queues.set_at_once, number)
        self.answer({})


class Remove(QueueHandler):
    """Takes entries out of the queue; what goes on saves and ends."""

    async def post(self) -> None:
        await asyncio.to_thread(self.queues.take_out, self.names("ids"))
        self.answer({})


class Stop(QueueHandler):
    """Has runs save and end."""

    async def post(self) -> None:
        runs = [self.scan.find(name) for name in self.names("runs")]
        stopping = [asyncio.create_task(asyncio.to_thread(stop, run)) for run in runs]
        done, _ = await asyncio.wait(stopping, timeout=SECONDS_TO_STOP)
        for task in done:
            task.result()
        self.answer({})


class Resume(QueueHandler):
    """Puts runs that were interrupted or have failed into the queue, as they were asked for."""

    again = False

    async def post(self) -> None:
        runs = [self.scan.find(name) for name in self.names("runs")]
        await asyncio.to_thread(self.queues.add, [_entry(run, again=self.again) for run in runs])
        self.answer({})


class Rerun(Resume):
    """Puts runs into the queue that are to be started over."""

    again = True


def _entry(run: RunDirectory, *, again: bool) -> Entry:
    state = run.state()
    if state in ("running", "queued") or (state in ("finished", "untested") and not again):
        raise UserError(f"{run.name} is {state}")
    request = request_to_repeat(run, run.name)
    return Entry(
        name=run.name,
        overrides=_started_over(request) if again else request.overrides,
        folder=request.folder,
        config_dirs=request.config_dirs,
        threads=request.threads,
    )


def _started_over(request: Request) -> tuple[str, ...]:
    parsed = parse_overrides(request.overrides)
    return (*(text for key, text, _ in parsed if key not in ("rerun", "resume")), "rerun=true")


def running_here(scan: Scan) -> set[str]:
    """The names of all runs that go on on this machine."""
    found = set()
    for one in scan.facts():
        if one.state == "running":
            with contextlib.suppress(UserError):  # of a spoilt request nobody knows where it is
                request = scan.find(one.name).request()
                if request is None or request.host == socket.gethostname():
                    found.add(one.name)
    return found


def look_after(app: Application) -> None:
    """Has the queue be worked on for as long as the loop runs, a closed page or none."""
    queues: Queues = app.settings["queues"]
    reporter: Reporter = app.settings["reporter"]
    said: set[str] = set()

    async def look() -> None:
        try:
            await asyncio.to_thread(queues.work)
        except Exception as error:  # the queue goes on when its disk does
            if str(error) not in said:
                reporter.warn(f"the queue: {error}")
                said.add(str(error))

    async def ask_the_cluster() -> None:
        await asyncio.to_thread(lambda: settle(app.settings["scan"].queued()))

    PeriodicCallback(look, 1000 * SECONDS_BETWEEN_LOOKS).start()
    PeriodicCallback(ask_the_cluster, 1000 * SECONDS_BETWEEN_QUESTIONS).start()


def where_runs_lie(folder: Path) -> list[str]:
    """The override that says where runs lie, if it is not where they do without it."""
    if folder.resolve() == USUAL_RUNS_DIR.resolve():
        return []
    path = str(folder.resolve())
    return [f"runs_dir={path if PLAIN.fullmatch(path) else as_typed(path)}"]


HANDLERS: list[tuple[str, Any]] = [
    ("queue", State),
    ("queue/order", Order),
    ("queue/at-once", AtOnce),
    ("queue/remove", Remove),
    ("runs/stop", Stop),
    ("runs/resume", Resume),
    ("runs/rerun", Rerun),
]
