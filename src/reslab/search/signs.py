"""Signs of life: what a searcher says in its study to those who cannot see its lock."""

import time

import optuna

SECONDS_BETWEEN_SIGNS = 30.0
SECONDS_OF_SILENCE = 600.0  # after which a searcher is taken for gone


class Signs:
    """Signs that searchers give, and since when there was none, whatever the time is set to.

    Args:
        study: The study, which all of them see wherever their disks are.
    """

    def __init__(self, study: optuna.Study) -> None:
        self._study = study
        self._given = float("-inf")
        self._seen: dict[str, tuple[object, float]] = {}  # the last one, and when it was new

    def give(self, name: str) -> bool:
        """Gives one, if the last is some time ago; returns whether it did."""
        now = time.monotonic()
        if now - self._given < SECONDS_BETWEEN_SIGNS:
            return False
        self._given = now
        self._study.set_user_attr(_key(name), time.time())
        return True

    def are_over(self, name: str) -> bool:
        """Whether a searcher has given none for so long that it is taken for gone."""
        sign, now = self._study.user_attrs.get(_key(name)), time.monotonic()
        last, since = self._seen.setdefault(name, (sign, now))
        if sign != last:
            self._seen[name] = (sign, now)
            return False
        return now - since > SECONDS_OF_SILENCE


def _key(name: str) -> str:
    return f"sign of {name}"
