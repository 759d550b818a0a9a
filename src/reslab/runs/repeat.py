"""What is in a run's folder, as far as its own files say it, to be put beside others."""

import contextlib
import csv
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from hashlib import sha256
from typing import Any, NamedTuple

from reslab.errors import UserError
from reslab.runs.identity import hashed_config, label, run_name
from reslab.runs.record import Record
from reslab.runs.store import RunDirectory


class Standing(NamedTuple):
    """What a run has come to so far, as far as lists show it; None is not known, or not yet.

    Attributes:
        epochs: Epochs that are done.
        before: Those of them that the run had done which this one extends.
        val: The best one's validation accuracy, from 0 to 1.
        seconds: Of all of them together.
        test: The test accuracy of the best one's weights.
        parameters: Trainable parameters.
        code_digest: Of the code that can change a result.
        exact: As `Provenance` has it.
    """

    epochs: int | None = None
    before: int | None = None
    val: float | None = None
    seconds: float | None = None
    test: float | None = None
    parameters: int | None = None
    code_digest: str | None = None
    exact: bool | None = None


@dataclass(frozen=True)
class Repeat:
    """A run's folder with what is in it, whatever the state of the run.

    Its configuration and its record are kept as text: a list of thousands needs few of them.

    Attributes:
        directory: The folder.
        name: What its configuration calls it: of a copy, the original's.
        label: What runs share that differ in seed and numbers.
        group: The same for all that differ in the seed alone.
        seed: Its own; None is not known, as of a foreign file.
        recipe: The recipe's name, None for none.
        begun: When it began or last went on, seconds since 1970; None is not known.
        standing: What it has come to so far.
        config_text: What it is a function of, in JSON.
        record_text: What it came to, in JSON, None before it is finished.
    """

    directory: RunDirectory
    name: str
    label: str
    group: str
    seed: float | None
    recipe: str | None
    begun: float | None
    standing: Standing
    config_text: str
    record_text: str | None

    @classmethod
    def read(cls, run: RunDirectory) -> "Repeat":
        """Reads it; of a spoilt record there is nothing to show.

        Raises:
            UserError: Its configuration is missing, damaged or foreign.
        """
        try:
            kept = run.kept_config()
            record = None
            with contextlib.suppress(UserError):
                record = run.record()
            begun, asked = read_request(run)
            recipe = record.recipe if record else asked
            config = hashed_config(kept)
            return cls.of(run, run_name(kept), label(kept), config, record, recipe, begun)
        except UserError:
            raise
        except Exception as error:  # whatever stands in a foreign or spoilt file
            fault = str(error).strip().partition("\n")[0]
            if isinstance(error, KeyError):
                fault = f"it has no {error}"
            raise UserError(f"{run.config_file} is no run's configuration: {fault}") from error

    @classmethod
    def of(
        cls,
        directory: RunDirectory,
        name: str,
        label: str,
        config: dict[str, Any],
        record: Record | None,
        recipe: str | None,
        begun: float | None = None,
    ) -> "Repeat":
        """Of a configuration and a record; where there is none, the curve says what it is at."""
        standing = _standing(record) if record else read_curve(directory)
        group = json.dumps(_but_for_its_seed(config, standing), sort_keys=True)
        seed = config.get("seed")
        return cls(
            directory=directory,
            name=name,
            label=label,
            group=sha256(group.encode()).hexdigest()[:16],
            seed=seed if isinstance(seed, float) else None,
            recipe=recipe,
            begun=begun,
            standing=standing,
            config_text=json.dumps(config),
            record_text=json.dumps(record.as_json()) if record else None,
        )

    @property
    def is_finished(self) -> bool:
        """Whether it has a record."""
        return self.record_text is not None

    @cached_property
    def config(self) -> dict[str, Any]:
        """What it is a function of."""
        config: dict[str, Any] = json.loads(self.config_text)
        return config

    @cached_property
    def record(self) -> Record | None:
        """What it came to, None before it is finished."""
        return Record.from_json(json.loads(self.record_text)) if self.record_text else None

    @cached_property
    def but_for_its_seed(self) -> dict[str, Any]:
        """What runs share that differ in the seed alone: not the name of what they extend."""
        return _but_for_its_seed(self.config, self.standing)


def _but_for_its_seed(config: Mapping[str, Any], standing: Standing) -> dict[str, Any]:
    shared = {**config, "seed": None, "dataset": config["dataset"] | {"seed": None}}
    if standing.before is not None and "extend_from" in config:
        shared["extend_from"] = f"epoch {standing.before}"
    return shared


def _standing(record: Record) -> Standing:
    return Standing(
        epochs=record.epochs,
        before=record.extends.epoch if record.extends else None,
        val=record.val_accuracy,
        seconds=record.seconds,
        test=record.test_accuracy,
        parameters=record.parameters,
        code_digest=record.provenance.code_digest,
        exact=record.provenance.exact,
    )


def read_request(run: RunDirectory) -> tuple[float | None, str | None]:
    """When a run began or last went on, seconds since 1970, and the recipe that was asked for.

    None is not known: the request may be missing, of an older version, or spoilt.
    """
    recipe = None
    with contextlib.suppress(UserError, ValueError, TypeError):
        if request := run.request():
            recipe = request.recipe
            return datetime.fromisoformat(request.begun).timestamp(), recipe
    return None, recipe


def read_curve(run: RunDirectory) -> Standing:
    """What the epochs so far have come to."""
    try:
        with run.metrics_file.open(newline="") as file:
            rows = list(csv.DictReader(file))
        return Standing(
            epochs=len(rows),
            val=max((float(row["val/accuracy"]) for row in rows), default=None),
            seconds=sum(float(row["seconds"]) for row in rows),
        )
    except (OSError, ValueError, KeyError, TypeError, csv.Error):  # not there yet, or spoilt
        return Standing()
