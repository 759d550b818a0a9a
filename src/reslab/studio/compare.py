"""Comparing runs: what differs in their configurations, what they came to, and how surely."""

import asyncio
import json
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from reslab.errors import UserError
from reslab.runs.identity import as_read, differing_keys, select
from reslab.runs.record import Record
from reslab.runs.seeds import mean_and_deviation
from reslab.studio.drawn import Drawn
from reslab.studio.flipped import flipped
from reslab.studio.sides import Side, answers, sides

if TYPE_CHECKING:
    from reslab.tables.stats import Comparison

MIB = 1 << 20
MOST_SIDES = 12  # of more a person sees nothing, and each has its test set's logits to be read

# A row of results: what it is called, its number, and how that is written.
RESULTS: tuple[tuple[str, Callable[[Record], float], str], ...] = (
    ("Test accuracy, %", lambda one: 100 * one.test_accuracy, ".2f"),
    ("Test loss", lambda one: one.test_loss, ".4f"),
    ("Validation accuracy, %", lambda one: 100 * one.val_accuracy, ".2f"),
    ("Training accuracy, %", lambda one: 100 * one.train_accuracy, ".2f"),
    ("Training loss", lambda one: one.train_loss, ".4f"),
    ("Epochs", lambda one: one.epochs, ".4g"),
    ("Best epoch", lambda one: one.best_epoch, ".3g"),
    ("Minutes", lambda one: one.seconds / 60, ".1f"),
    ("Training images per second", lambda one: one.images_per_second, ",.0f"),
    ("Peak memory, MiB", lambda one: one.peak_memory_bytes / MIB, ",.0f"),
    ("Parameters", lambda one: one.parameters, ",.0f"),
    ("Multiply-accumulates", lambda one: one.macs, ",.0f"),
)
PAIRS = (
    *("1st", "Diff., pp", "95 %, images", "95 %, seeds", "Images", "Only 1st", "Only 2nd"),
    *("p (McNemar)", "p (Holm)"),
)
NOTE = (
    "Each row (1st) less what it is compared with (2nd), in percentage points; ± and the interval "
    "over seeds are of networks of other seeds, that over images of these very networks on other "
    "test images. Only 1st, only 2nd: test images that it alone has right, seed by seed. "
    "McNemar's exact test, one p a seed; Holm's correction is over all rows, of the largest p or "
    "of 1 where seeds disagree on which is better."
)


def compare(runs: Sequence[str], base: str) -> dict[str, Any]:
    """What the page shows of some runs.

    Args:
        runs: Their folders.
        base: One's name, with whose side the others are compared; the first if it is none.

    Returns:
        The `sides`; rows of a name and a text for each of them: `config`, `environment` and
        `results`; of each side but one its `pairs` with that `base`; and `notes`.
    """
    found, notes = sides(runs), []
    if len(found) > MOST_SIDES:
        notes.append(f"these are the first {MOST_SIDES} of {len(found)}: select fewer")
        found = found[:MOST_SIDES]
    if not found:
        return {"sides": [], "notes": notes}
    against = next((side for side in found if base in side.names), found[0])
    states = [["State", *(side.state for side in found)]]
    results = [
        [name, *(_mean([number(one) for one in side.records], form) for side in found)]
        for name, number, form in RESULTS
    ]
    return {
        "sides": [{"name": side.name, "title": side.title, "runs": side.names} for side in found],
        "config": _differing([[side.config] for side in found]),
        "environment": _environment(found),
        "results": states + results,
        "base": against.name,
        "columns": PAIRS,
        "note": NOTE,
        "pairs": _pairs([side for side in found if side is not against], against),
        "notes": notes,
    }


def _differing(configs: Sequence[Sequence[dict[str, Any]]]) -> list[list[str]]:
    """Rows of a key and a text for each side, whose several values are told one after the other."""
    first, *others = [config for side in configs for config in side] or [{}]
    keys = {key for other in others for key in differing_keys(first, other)}
    return [
        [
            key,
            *(
                " / ".join(dict.fromkeys(_text(select(one, key)) for one in side))
                for side in configs
            ),
        ]
        for key in sorted(keys)
    ]


def _environment(found: Sequence[Side]) -> list[list[str]]:
    from reslab.runs.diff import ENVIRONMENT

    def kept(record: Record) -> dict[str, Any]:
        content = record.as_json()
        return {key: content.get(key) for key in ENVIRONMENT}

    return _differing([[kept(record) for record in side.records] for side in found])


def _pairs(found: Sequence[Side], base: Side) -> list[dict[str, Any]]:
    """Each with the base where both have kept what they answered to the same images, or why not."""
    from reslab.tables.stats import compare, correct

    comparisons, why = {}, {}
    for side in found:
        try:
            pairs = answers(side, base)
            right = {seed: (one.right, other.right) for seed, (one, other) in pairs.items()}
            comparisons[side.name] = compare(side.title, base.title, right)
        except UserError as error:
            why[side.name] = str(error)
    corrected = dict(zip(comparisons, correct(list(comparisons.values()), len(found)), strict=True))
    return [
        {
            "name": side.name,
            "title": side.title,
            "why": why.get(side.name, ""),
            "text": _pair(corrected[side.name]) if side.name in corrected else [],
        }
        for side in found
    ]


def _pair(one: "Comparison") -> list[str]:
    """As tables write it, with one p a seed besides."""
    from reslab.tables.columns import PAIR_COLUMNS, probability

    text = {column.name: column.text(one) for column in PAIR_COLUMNS}
    shown = ("difference", "image interval", "seed interval", "images")
    return [
        *(text[name] for name in (*shown, "only first", "only second")),
        " / ".join(map(probability, one.p)),
        text["p"],
    ]


def _mean(values: Sequence[float], form: str) -> str:
    if not values:
        return ""
    mean, deviation = mean_and_deviation(values)
    return f"{mean:{form}}" + (f" ± {deviation:{form}}" if deviation else "")


def _text(value: Any) -> str:
    value = as_read(value)
    if isinstance(value, str):
        return re.sub(r"(?<=^[0-9a-f]{12})[0-9a-f]{28,}", "", value)  # of a digest the beginning
    return "none" if value is None else _in_few_words(value)


def _in_few_words(value: Any) -> str:
    """A part of a configuration: `Pool(size=2)` is what has `reslab.nn.Pool` as its target."""
    if isinstance(value, list):
        return f"[{', '.join(map(_in_few_words, value))}]"
    if isinstance(value, dict):
        target = str(value.get("_target_", "")).rpartition(".")[2]
        given = (f"{key}={_in_few_words(one)}" for key, one in value.items() if key != "_target_")
        return f"{target}({', '.join(given)})"
    return value if isinstance(value, str) else json.dumps(value)


class Compare(Drawn):
    """What differs, and what came of it."""

    template = "compare.html"

    async def get(self) -> None:
        runs, missing = await asyncio.to_thread(self._runs)
        base = self.get_query_argument("base", "", strip=False)
        answer: dict[str, Any] = {"sides": [], "notes": []}
        if runs:
            answer = await self.worker.run(compare, runs=runs, base=base)
        answer["notes"] += [f"{name} is not among the runs, or not whole" for name in missing]
        self.answer(answer)

    def _runs(self) -> tuple[list[str], list[str]]:
        """Folders of the runs that are asked for, and the names of those that are none."""
        self.scan.read_all()
        names = dict.fromkeys(self.get_query_arguments("run", strip=False))
        known = {name: self.scan.known(name) for name in names}
        whole = [str(one.directory.path) for one in known.values() if one and one.repeat]
        return whole, [name for name, one in known.items() if not (one and one.repeat)]


class Flipped(Compare):
    """The test images that one side has right and another wrong, as pictures."""

    template = "flipped.html"

    async def get(self) -> None:
        runs, _ = await asyncio.to_thread(self._runs)
        name, base = (self.get_query_argument(key, strip=False) for key in ("with", "base"))
        self.answer(await self.worker.run(flipped, runs=runs, name=name, base=base))


HANDLERS = [("compare", Compare), ("compare/flipped", Flipped)]
