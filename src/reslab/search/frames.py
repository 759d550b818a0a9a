"""What pictures of a search show, whatever library draws them."""

from typing import Any

import pandas as pd

COLUMNS = ["number", "value", "epochs", "run", "chosen"]


def by_state(rows: list[dict[str, Any]]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Trials that came to their ends, and that were pruned, with a value: `COLUMNS`."""
    found = []
    for state in ("finished", "pruned"):
        those = [one for one in rows if one["state"] == state and one["value"] is not None]
        frame = pd.DataFrame(those, columns=COLUMNS)
        frame["chosen"] = [" ".join(f"{k}={v}" for k, v in one["chosen"].items()) for one in those]
        found.append(frame)
    return found[0], found[1]


def best_so_far(rows: list[dict[str, Any]], maximizes: bool) -> pd.DataFrame:
    """The best `value` of those until each `number` that came to its end."""
    done = by_state(rows)[0][["number", "value"]]
    best = done["value"].cummax() if maximizes else done["value"].cummin()
    return done.assign(value=best)
