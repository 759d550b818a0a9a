"""Searches: which there are, and of one its trials, what they came to, and what goes on with it."""

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any

from reslab.errors import UserError
from reslab.runs.facts import Facts
from reslab.search.summary import Summary, Trial, file_of, folders, read, state
from reslab.studio.downloads import ALONE, Downloads
from reslab.studio.drawn import Drawn
from reslab.studio.history import as_text, history
from reslab.studio.runs import moment
from reslab.studio.security import RequestError

# Of all that lies in a search's folder, what is served, and what it is.
FILES = {
    "search.html": "The trials to explore",
    "history.png": "History as PNG",
    "importance.png": "Importance as PNG",
    "search.json": "All trials as JSON",
}
MOST_WATCHED = 5  # curves of the best, of more a person sees nothing


class Searches(Drawn):
    """All searches, and the one that is asked for, or that changed last."""

    template = "searches.html"

    async def get(self) -> None:
        name = self.get_query_argument("search", "", strip=False)
        self.answer(await asyncio.to_thread(self._searches, name))

    def _searches(self, name: str) -> dict[str, Any]:
        found = folders(self.scan.folder)
        lines = sorted(
            map(_line, found.values()), key=lambda one: (one["problem"] != "", -one["changed"])
        )
        whole = [one["name"] for one in lines if not one["problem"]]
        chosen = name or next(iter(whole), "")
        problem = ""
        if name and name not in found:
            problem = f"there is no search {name} in {self.scan.folder}"
        return {
            "searches": lines,
            "chosen": chosen,
            "problem": problem,
            "about": self._about(found[chosen]) if chosen in whole else None,
        }

    def _about(self, folder: Path) -> dict[str, Any] | None:
        try:
            summary = read(folder)
        except UserError:  # just now; the next answer says so
            return None
        runs = {one.name: one for one in self.scan.facts()}
        now = state(folder, summary)
        rows = [_row(one, summary, now, runs) for one in summary.best_first]
        there = [one["run"] for one in rows if one["is_there"]]
        live = [name for name in there if runs[name].state == "running"]
        shares = summary.importances
        said = {one["number"]: _said(one, summary.monitor) for one in rows}
        return {
            "state": now,
            "monitor": summary.monitor,
            "keys": list(dict.fromkeys(key for one in summary.trials for key in one.chosen)),
            "trials": rows,
            "bounds": [
                {"key": key, "text": text, "share": shares.get(key)}
                for key, text in sorted(
                    summary.bounds.items(), key=lambda one: -shares.get(one[0], 0)
                )
            ],
            "shared": list(summary.shared),
            "by": f"{summary.sampler}, seed {summary.seed}; {summary.pruner}",
            "history": history(summary, said),
            "live": live,
            "watch": live or there[:MOST_WATCHED],
            "command": summary.command,
            "goes_on": summary.goes_on,
            "files": {name: text for name, text in FILES.items() if _is_there(folder, name)},
        }


class File(Downloads):
    """A file of a search's, of those that are named here and no other."""

    async def get(self) -> None:
        search = self.get_query_argument("search", strip=False)
        name = self.get_query_argument("name")
        found = await asyncio.to_thread(folders, self.scan.folder)
        if search not in found or name not in FILES:
            raise RequestError(404, f"no search {search} in {self.scan.folder} has a file {name}")
        file = file_of(found[search], name)
        shown = name.endswith(".html")
        if shown:
            self.set_header("Content-Security-Policy", ALONE)
        await self.send(file, f"{search}-{name}", shown=shown)


HANDLERS = [("searches", Searches), ("searches/file", File)]


def _line(folder: Path) -> dict[str, Any]:
    """A search in the list of all, or what is wrong with it."""
    line: dict[str, Any] = {"name": folder.name, "problem": "", "changed": _changed(folder)}
    try:
        summary = read(folder)
    except UserError as error:
        return line | {"problem": str(error), "when": moment(line["changed"])}
    counts = Counter(one.state for one in summary.trials if one.has_ended)
    best = summary.best
    return line | {
        "when": moment(line["changed"]),
        "state": state(folder, summary),
        "ended": counts.total(),
        "asked": summary.trials_asked,
        "pruned": counts["pruned"],
        "failed": counts["failed"],
        "monitor": summary.monitor,
        "best": as_text(best.value, summary.monitor) if best else "",
    }


def _changed(folder: Path) -> float:
    for path in (folder / "search.json", folder):
        try:
            return path.stat().st_mtime
        except OSError:
            continue
    return 0.0


def _row(one: Trial, summary: Summary, now: str, runs: dict[str, Facts]) -> dict[str, Any]:
    """A trial in the table; of one that goes on its run tells how far it is."""
    run = runs.get(one.run or "")
    text, done, epochs = one.state, None, one.epochs
    if not one.has_ended:
        if run and run.state in ("running", "queued"):
            text, epochs = run.state, run.standing.epochs
            done = run.progress.done if run.progress and text == "running" else None
        elif now != "running":
            text = "interrupted"
    return {
        "number": one.number,
        "state": text,
        "done": done,
        "value": as_text(one.value, summary.monitor),
        "epochs": "" if epochs is None else f"{epochs:g}",
        "chosen": {key: _text(value) for key, value in one.chosen.items()},
        "run": one.run or "",
        "is_there": run is not None,
        "reason": one.reason or "",
        "is_best": one is summary.best,
    }


def _said(row: dict[str, Any], monitor: str) -> str:
    chosen = " ".join(f"{key}={text}" for key, text in row["chosen"].items())
    return f"Trial {row['number']}, {row['state']}: {monitor} {row['value']}\n{chosen}"


def _text(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _is_there(folder: Path, name: str) -> bool:
    try:
        file_of(folder, name)
    except UserError:
        return False
    return True
