"""What a configuration will be: checked as a run checks it, its network, its cost."""

import contextlib
import importlib
import json
import re
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from reslab.analysis.diagram import draw_network
from reslab.analysis.summary import count_parameters
from reslab.config import compose, explain, instantiate, is_own_target, single_runs
from reslab.errors import UserError
from reslab.loss import CLASS_WEIGHTS
from reslab.machine import describe_hardware
from reslab.ranges import Range, noted
from reslab.runs.check import MONITORS, REAL, WHOLE, check, try_network
from reslab.runs.identity import run_name
from reslab.runs.network import build_network
from reslab.runs.options import CHOICES
from reslab.runs.pins import as_typed
from reslab.runs.trainer import device_of
from reslab.studio.form import MOST_RUNS, Wish
from reslab.studio.pace import Work

# Values of which a field has one, beside those that constructors know.
CHOSEN = {f"trainer.{name}": choices for name, choices in CHOICES.items()} | {
    "monitor": MONITORS,
    "class_weights": (None, *CLASS_WEIGHTS),
}


def preview(values: Mapping[str, Any]) -> dict[str, Any]:
    """What comes of a form that is filled in.

    Returns:
        `errors` by field, `error` of no field in particular; of each field its range, choices and
        meaning as `about`; the `number` of combinations of values; and if nothing is wrong, of the
        first run `parameters` and `macs`, and of all `runs` their overrides, names and work.

    Raises:
        UserError: Nothing can be composed of it.
    """
    wish = Wish.read(values)
    error = _leave_out_what_is_refused(wish)
    answer: dict[str, Any] = {"errors": wish.errors, "error": error, "overrides": wish.overrides}
    if error:
        return answer
    runs = wish.runs()
    cfg = compose(runs[0])
    answer["number"] = len(runs)
    with contextlib.suppress(UserError):  # which is said at its field
        answer["about"] = _about(cfg, wish.keys)
    if wish.errors:
        return answer
    try:
        found = {run["name"]: run for run in map(_run, runs)}  # values may be given twice
        return answer | _count(cfg).counts | {"runs": list(found.values())}
    except UserError as refused:
        return answer | {"error": str(refused)}


def draw(values: Mapping[str, Any]) -> str:
    """A drawing of the first run's network, SVG.

    Raises:
        UserError: There is no such network, or no drawing of it.
    """
    cfg = compose(Wish.read(values).runs()[0])
    network = build_network(cfg)
    with tempfile.TemporaryDirectory() as folder:
        path = draw_network(network, try_network(cfg, network), Path(folder) / "network.svg")
        return path.read_text()


def _run(overrides: Sequence[str]) -> dict[str, Any]:
    cfg = compose(overrides)
    work = Work(
        dataset=cfg.dataset.name,
        hardware=_hardware(cfg),
        macs=_count(cfg).counts["macs"],
        batch_size=cfg.dataset.batch_size,
        epochs=cfg.trainer.max_epochs,
        batches=cfg.trainer.get("limit_train_batches"),
        steps=cfg.max_steps,
    )
    return {"overrides": overrides, "name": run_name(cfg), "work": asdict(work)}


class Counted(NamedTuple):
    """What a network comes to, and the ranges that its constructors have asked for."""

    counts: dict[str, int]
    ranges: list[tuple[str, Range]]


# Of networks that were built, by what they are of.
_counted: dict[str, Counted] = {}


def _count(cfg: DictConfig) -> Counted:
    try:
        plain: Any = OmegaConf.to_container(cfg, resolve=True)
    except OmegaConfBaseException as error:  # of a value that follows from others
        raise UserError(explain(error, ())) from error
    shape = [plain["dataset"][key] for key in ("channels", "size", "num_classes")]
    text = json.dumps([plain["model"], shape])
    if text not in _counted:
        with noted() as ranges:
            network = build_network(cfg)
        macs = sum(layer.macs for layer in try_network(cfg, network))
        counts = {"parameters": count_parameters(network), "macs": macs}
        _counted[text] = Counted(counts, ranges)
    return _counted[text]


def _leave_out_what_is_refused(wish: Wish) -> str:
    """Takes each value out of a wish that a run would refuse, and says at its field why.

    Returns:
        What is refused that has no field.
    """
    while fault := _fault(wish, _check):
        if not _put_at_its_field(fault, wish):
            return fault if fault not in wish.errors.values() else ""
    # Of a network one fault at a time: without one value the others may not go together.
    if fault := _fault(wish, lambda one: _count(compose(one))):
        _put_at_its_field(fault, wish)
        return fault if fault not in wish.errors.values() else ""
    return ""


def _fault(wish: Wish, try_one: Callable[[list[str]], object]) -> str:
    try:
        for one in _each_value_once(wish.overrides):
            try_one(one)
        return ""
    except UserError as error:
        return str(error)


def _put_at_its_field(fault: str, wish: Wish) -> bool:
    """Takes the value out that a fault is of, and says it there if a field is named at all.

    Returns:
        Whether there was one: it may be another's fault, or nothing was filled in.
    """
    named = [key for key in wish.keys if _is_named(key, fault)]
    key = next((key for key in named if key in wish.others), named[0] if named else None)
    if key is None:
        return False
    wish.errors[key] = fault
    return wish.others.pop(key, None) is not None


def _check(overrides: Sequence[str]) -> None:
    """Refuses what a run would, before it reads its data and builds its network."""
    cfg = compose(overrides)
    try:
        check(cfg)
        instantiate(cfg, "dataset")
    except OmegaConfBaseException as error:  # of a value that follows from others
        raise UserError(explain(error, overrides)) from error


def _is_named(key: str, text: str) -> bool:
    return bool(re.search(rf"(?<![\w.]){re.escape(key)}(?![\w.]*\w)", text))


def _each_value_once(overrides: Sequence[str]) -> Iterator[list[str]]:
    """Runs in which each value of a sweep is met: far fewer than there are combinations."""
    values = [[text for (text,) in single_runs([override], MOST_RUNS)] for override in overrides]
    first = [texts[0] for texts in values]
    yield first
    for at, texts in enumerate(values):
        for text in texts[1:]:
            yield [*first[:at], text, *first[at + 1 :]]


def _about(cfg: DictConfig, keys: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """What fields can be, as the checks of a run and the constructors have it, and what for."""
    ranges = {key: Range(*limits, whole=True) for key, limits in WHOLE.items()}
    ranges |= {key: Range(*limits, whole=False) for key, limits in REAL.items()}
    asked: dict[str, list[tuple[str, Range]]] = {}
    with contextlib.suppress(UserError):  # which is said elsewhere
        asked["model"] = _count(cfg).ranges
    for group in ("dataset", "optimizer"):
        with noted() as asked[group]:
            instantiate(cfg, group)
    for group, notes in asked.items():
        for name, limits in notes:
            key = f"{group}.{name}"
            if key not in keys:  # of a part, such as a step of augmentation
                key = next((one for one in keys if one.endswith(f".{name}")), key)
            ranges.setdefault(key, limits)
    return {
        key: {
            "range": ranges[key].in_words() if key in ranges else "",
            "choices": [
                one if isinstance(one, str) else as_typed(one) for one in CHOSEN.get(key, ())
            ],
            "text": _documented(cfg, key),
        }
        for key in keys
    }


def _documented(cfg: DictConfig, key: str) -> str:
    """What the docstring of what takes a value says of it: its first sentence that is for users.

    References to code are not, nor is what libraries say of values that a run does not take.
    """
    node, _, name = key.rpartition(".")
    target = OmegaConf.select(cfg, f"{node}._target_") if node else None
    if target is None or not (target.startswith("reslab.") or is_own_target(target)):
        return ""
    module, _, attribute = target.rpartition(".")
    made = getattr(importlib.import_module(module), attribute)
    for text in (made.__doc__, made.__init__.__doc__):
        entry = rf"^( +){name}(?: \([^)]*\))?:\s+(.+(?:\n\1 +.+)*)"
        if found := re.search(entry, text or "", re.MULTILINE):
            said = re.sub(r"\s+", " ", found[2])
            for ours, typed in (("None", "null"), ("True", "true"), ("False", "false")):
                said = re.sub(rf"\b{ours}\b", typed, said)
            said = re.sub(r",? \(?see :?\w*:?`+[^`]*`+\)?", "", said)
            said = re.sub(r":\w+:`~?([^`]*)`|`+([^`]*)`+", r"\1\2", said)
            return re.split(r"(?<=[.!?])\s+(?=[A-Z])", said)[0]
    return ""


def _hardware(cfg: DictConfig) -> str:
    return describe_hardware(device_of(cfg))
