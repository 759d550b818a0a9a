"""The published tables: what of each is done, running and missing, and what to start for it."""

import asyncio
import shlex
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.config import list_options
from reslab.errors import UserError
from reslab.runs.pins import as_typed
from reslab.studio.control import QueueHandler
from reslab.studio.drawn import Drawn
from reslab.studio.form import HIDDEN, options
from reslab.studio.security import RequestError
from reslab.tables.publication import read_publication

if TYPE_CHECKING:
    from reslab.tables.collect import Result
    from reslab.tables.columns import Column
    from reslab.tables.plan import Cell, Table

TO_START = ("missing", "interrupted", "untested", "failed")  # as `reslab reproduce` does

# In the process that computes: tables by what was asked, each with what was last found of it.
_composed: dict[tuple[Any, ...], "_Known"] = {}
_composing = threading.Lock()  # what is asked twice at once is composed once


class Tables(Drawn):
    """Which tables there are, and which is shown at first: one whose recipes were run."""

    template = "tables.html"

    async def get(self) -> None:
        self.answer(await asyncio.to_thread(self._tables))

    def _tables(self) -> dict[str, Any]:
        self.scan.read_all()
        run = {one.recipe for one in self.scan.facts()}
        found, faults = [], []
        for name in list_options("table"):
            try:
                found.append(read_publication(name))
            except UserError as error:
                faults.append(str(error))
        begun = (one.name for one in found if run & {row.recipe for row in one.rows})
        titles = [{"name": one.name, "title": one.title, "quick": list(one.quick)} for one in found]
        return {"tables": titles, "first": next(begun, "liu_goh"), "faults": faults}


class Cells(Drawn):
    """A table's rows as they are now, with the state of each of their runs."""

    template = "cells.html"

    async def get(self) -> None:
        found = await self.worker.run(
            look_up,
            name=self.get_query_argument("table"),
            quick=self.get_query_argument("quick", "") == "1",
            changes=self.get_query_argument("with", ""),
            runs_dir=str(self.scan.folder),
        )
        self.answer(found)


class Add(QueueHandler):
    """Puts cells of a table into the queue; what each is to run is worked out here, not sent."""

    async def post(self) -> None:
        asked, names = self.asked(), self.names("names")
        table, quick, changes = asked.get("table"), asked.get("quick"), asked.get("with")
        if not (isinstance(table, str) and isinstance(quick, bool) and isinstance(changes, str)):
            raise RequestError(400, "give a table's name, whether quick, and with which changes")
        found = await self.worker.run(
            look_up, name=table, quick=quick, changes=changes, runs_dir=str(self.scan.folder)
        )
        runs = [one for one in found["start"] if one["name"] in names]
        if not runs:
            raise UserError(f"none of these runs is one that {table} lacks")
        self.answer({"added": await self.begin(runs)})


HANDLERS = [("tables", Tables), ("tables/cells", Cells), ("queue/add", Add)]


def look_up(name: str, quick: bool, changes: str, runs_dir: str) -> dict[str, Any]:
    """A table from the runs in a folder; what has not changed on disk is not read again.

    Args:
        name: The table's name.
        quick: Whether at the small scale that its file names.
        changes: Hydra overrides for every cell, as one would type them.
        runs_dir: Where runs lie.

    Raises:
        UserError: There is no such table, or an override is wrong.
    """
    overrides = _split(changes)
    with _composing:
        asked = name, quick, *overrides, runs_dir, options()
        if asked not in _composed:
            from reslab.tables.plan import load_table

            place = f"runs_dir={as_typed(runs_dir)}"
            table = load_table(name, [*overrides, place], quick=quick)
            command = ["reslab", "reproduce", name, *(["--quick"] if quick else []), *overrides]
            _composed[asked] = _Known(table, place, shlex.join(command))
        return _composed[asked].now()


class _Known:
    """A table and what was last found of it."""

    def __init__(self, table: "Table", place: str, command: str) -> None:
        self.table, self.place, self.command = table, place, command
        self._seen: list[Any] = []
        self._found: dict[str, Any] = {}

    def now(self) -> dict[str, Any]:
        """What is found of it now."""
        seen = [_seen(cell) for cell in self.table.cells]
        if seen != self._seen:
            self._found, self._seen = self._sum_up(), seen
        for row in self._found["rows"]:
            for cell in row["cells"]:
                if cell["state"] == "running":
                    at = next(c for c in self.table.cells if c.directory.name == cell["run"])
                    progress = at.directory.progress()
                    cell["done"] = progress and progress.done
        return self._found

    def _sum_up(self) -> dict[str, Any]:
        from reslab.tables.collect import collect
        from reslab.tables.columns import as_text, choose, choose_of_pairs
        from reslab.tables.estimate import time_left
        from reslab.tables.findings import sum_up

        table, results = self.table, collect(self.table)
        findings = sum_up(table, results)
        chosen = choose(findings.lines, table.publication.columns)
        _, texts = as_text(chosen)
        rows = [
            {"texts": said, "cells": [_cell(one) for one in results if one.cell.row == row]}
            for row, said in zip(table.publication.rows, texts, strict=True)
        ]
        pairs = as_text(choose_of_pairs(findings.pairs)) if findings.pairs else None
        to_start = {
            one.cell.directory.name: [text for text in one.cell.overrides if text != self.place]
            for one in results
            if one.state in TO_START
        }
        states = [one.state for one in results]
        return {
            "heading": table.heading,
            "columns": _headings([column for column, _ in chosen]),
            "rows": rows,
            "pairs": pairs,
            "notes": findings.notes,
            "counts": {state: states.count(state) for state in dict.fromkeys(sorted(states))},
            "left": time_left(results) if {*states} > {"finished"} else "",
            "start": [{"name": run, "overrides": texts} for run, texts in to_start.items()],
            "command": self.command,
        }


def _headings(columns: list["Column"]) -> list[str]:
    """A published figure's says of what, where ours is not there yet to stand before it."""
    names = [column.name for column in columns]
    return [
        column.heading
        if (own := column.name.removesuffix(" paper")) == column.name or own in names
        else f"{own.capitalize()}, paper"
        for column in columns
    ]


def _cell(result: "Result") -> dict[str, Any]:
    run = result.cell.directory.name
    return {"seed": result.cell.seed, "state": result.state, "run": run, "why": result.reason}


def _seen(cell: "Cell") -> tuple[Any, ...]:
    """What tells whether something about a cell has to be read anew."""
    run = cell.directory
    state = run.state() if run.path.is_dir() else "missing"
    files = [run.request_file, run.config_file, run.failure_file]
    if state == "finished":
        files += [run.record_file, run.metrics_file, run.predictions_file]
    return state, *map(_changed, files)


def _changed(file: Path) -> int:
    try:
        return file.stat().st_mtime_ns
    except OSError:
        return 0


def _split(changes: str) -> list[str]:
    try:
        overrides = shlex.split(changes)
    except ValueError as error:
        raise UserError(f"{changes}: {error}") from error
    for override in overrides:
        key = override.lstrip("+~").partition("=")[0]
        if HIDDEN.fullmatch(key) or key.startswith("hydra"):
            raise UserError(f"{override}: {key} is the studio's own")
    return overrides
