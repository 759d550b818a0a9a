"""What a search leaves beside its study: one file that says all of it, and pictures."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import optuna
from optuna.trial import FrozenTrial, TrialState

from reslab.config import own_folders
from reslab.content import parse
from reslab.files import write_atomically
from reslab.search.plan import Search
from reslab.search.study import INSTEAD_OF, REASON, RUN, SEARCHER, Study
from reslab.search.summary import RECORD

STATES = {TrialState.COMPLETE: "finished", TrialState.FAIL: "failed"}


def write_record(
    search: Search,
    study: Study,
    command: str | None = None,
    run: str | None = None,
    *,
    drawn: bool = False,
) -> tuple[Path, ...]:
    """Writes `search.json`: what was asked, of what seeds, each trial, and the best.

    What a search has found stays in it until a trial is added or ends otherwise.

    Args:
        search: The search.
        study: Its study.
        command: What runs the best one by its recipe, once that is written; None: as it was.
        run: The name of the best one's run, with the command.
        drawn: Whether pictures and a page go with it.

    Returns:
        What was written.
    """
    best, trials = study.best(), study.trials()
    rows = [describe(search, one) for one in trials]
    importances = study.importances() if drawn else {}
    content = {
        "study": search.name,
        "storage": without_secrets(search.options.search.storage),
        **search.asked,
        "maximizes": search.maximizes,
        "trials_asked": study.number,
        "optuna": optuna.__version__,
        "trials": rows,
        "best": best.number if best else None,
        "best_run": run,
        "command": command,
        "goes_on": goes_on(search),
        "importances": importances,
    }
    path = search.folder / RECORD
    if command is None:
        content |= _found_before(path, content)
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
    if not drawn:
        return (path,)
    from reslab.search.figures import draw_history, draw_importances
    from reslab.search.page import write_page

    written = [path, draw_history(search, rows, search.folder / "history.png")]
    if importances:
        written.append(draw_importances(search, importances, search.folder / "importance.png"))
    return (*written, write_page(search, rows, importances, command, search.folder / "search.html"))


def _found_before(path: Path, content: dict[str, Any]) -> dict[str, Any]:
    """What an earlier record says was found, if it was of these very trials."""
    try:
        before = parse(path.read_bytes())
        if all(before[key] == content[key] for key in ("trials", "trials_asked")):
            return {key: before[key] for key in ("command", "best_run", "importances")}
    except (OSError, ValueError, KeyError, TypeError):  # there is none, or it is damaged
        pass
    return {}


def describe(search: Search, trial: FrozenTrial) -> dict[str, Any]:
    """A trial in plain values."""
    searcher = trial.user_attrs.get(SEARCHER) or {}
    begun, ended = trial.datetime_start, trial.datetime_complete
    return {
        "number": trial.number,
        "state": STATES.get(trial.state, trial.state.name.lower()),
        "value": trial.value,
        "epochs": len(trial.intermediate_values) or None,
        "chosen": trial.params,
        "overrides": list(search.overrides(trial.params)),
        "run": trial.user_attrs.get(RUN),
        "reason": trial.user_attrs.get(REASON),
        "instead_of": trial.user_attrs.get(INSTEAD_OF),
        "searcher": {key: searcher.get(key) for key in ("host", "pid")},
        "begun": begun and begun.isoformat(timespec="seconds"),
        "ended": ended and ended.isoformat(timespec="seconds"),
    }


def goes_on(search: Search) -> str:
    """The command that goes on with it, as it was typed but for what is secret."""
    folders = [f"--config-dir={one}" for one in own_folders()]
    typed = [without_secrets(one) or "" for one in search.typed]
    return shlex.join(["reslab", "search", *folders, *typed])


def without_secrets(address: str | None) -> str | None:
    """A database's address without who asks and the password."""
    return address and re.sub(r"//[^@/]*@", "//", str(address))
