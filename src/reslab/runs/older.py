"""Older code that was seen to train to the same bits as today's."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from reslab.runs.sources import code_digest

SEEN = Path(__file__).with_name("same_bits.json")  # tests/same_bits.py writes it


@dataclass(frozen=True)
class Trial:
    """A comparison of some older code with today's: what both trained to the same bits.

    Attributes:
        date: When that was.
        hardware: What trained.
        overrides: What the recipes were cut to.
        recipes: Those that came to the same logits, weights, curves and gradients.
    """

    date: str
    hardware: str
    overrides: tuple[str, ...]
    recipes: tuple[str, ...]

    @property
    def cut_to(self) -> str:
        """The overrides as people give them."""
        return " ".join(override.lstrip("+") for override in self.overrides)

    @classmethod
    def of(cls, digest: str, seen: Path = SEEN) -> Self | None:
        """That of the code of a digest; None where it is not known, as after today's has changed.

        Args:
            digest: The older code's, as its runs recorded it.
            seen: Where it is written down.
        """
        content = json.loads(seen.read_text())
        older = content["older"].get(digest)
        if older is None or content["code_digest"] != code_digest():
            return None
        how = content["date"], content["hardware"], tuple(content["overrides"])
        return cls(*how, tuple(older["recipes"]))
