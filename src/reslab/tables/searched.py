"""Which search a recipe came out of, and what it was chosen from."""

from collections import Counter

from reslab.config import find_option
from reslab.errors import UserError
from reslab.search.summary import RECORD, Summary, read

NONE_FOUND = "no search's record lies there; how else these values were found is unknown"


def describe_search(recipe: str) -> str:
    """What a reader must know of how a recipe's values were found.

    A search writes the best it has found as a recipe into its own folder, beside its record.
    """
    path = find_option("recipe", recipe)
    if path is None:
        return NONE_FOUND
    folder = path.resolve().parents[2]  # <search>/conf/recipe/<name>.yaml
    if not (folder / RECORD).exists():
        return NONE_FOUND
    try:
        return _in_words(read(folder))
    except UserError as error:
        return f"the best of a search, of which nothing more is known: {error}"


def _in_words(search: Summary) -> str:
    ended = Counter(trial.state for trial in search.trials)
    states = ", ".join(f"{number} {state}" for state, number in ended.items())
    bounds = "; ".join(f"`{key}` {words}" for key, words in search.bounds.items())
    chosen = search.best.chosen if search.best else {}
    found = ", ".join(f"`{key}={value}`" for key, value in chosen.items()) or "nothing yet"
    return (
        f"the best {search.monitor} of a search by {search.sampler} with seed {search.seed} and "
        f"{search.pruner}: {len(search.trials)} trials ({states}) within {bounds}; found: {found}"
    )
