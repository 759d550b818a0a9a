"""Exports and dashboards, made in the process that computes, by the library's own functions."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from reslab.reporter import Reporter
from reslab.studio.use import network
from reslab.studio.worker import Tell

EXPORTS = ("onnx", "torch", "safetensors")
RESULTS = "results"  # of the test set, or of a folder of pictures
SECONDS_BETWEEN_WORDS = 0.2


class Words(Reporter):
    """Tells how many are done, now and then."""

    def __init__(self, tell: Tell) -> None:
        self._tell = tell

    @contextmanager
    def progress(self, total: int, unit: str) -> Iterator[Callable[[], None]]:
        done, said = 0, 0.0

        def advance() -> None:
            nonlocal done, said
            done += 1
            if time.monotonic() - said > SECONDS_BETWEEN_WORDS:
                said = time.monotonic()
                self._tell([done, total])

        yield advance


def make(
    tell: Tell, run: str, latest: bool, kind: str, pictures: str, output: str
) -> dict[str, Any]:
    """Makes an export, or the results and the dashboard of pictures.

    Args:
        tell: Told how many pictures are done, of how many.
        run: The run's folder.
        latest: Whether its latest network is meant, not its best.
        kind: One of `EXPORTS`, or `RESULTS`.
        pictures: A folder of them; empty for the test set.
        output: Where to write.

    Returns:
        The `files` that were written, by their names below that; what is to be `said` of them.

    Raises:
        UserError: It cannot be made, and why.
    """
    from reslab import use
    from reslab.pictures.labels import FOLDERS

    place = Path(output)
    if kind != RESULTS:
        made = use.export(run, kind, output=place, latest=latest)
        said = f"equal to the checkpoint on {made.compared} test images"
        written = [made.path, made.card]
        said += f": logits differ by {made.difference:.0e} of the largest at most"
    else:
        if pictures:
            names = {one.name for one in Path(pictures).iterdir() if one.is_dir()}
            labels = FOLDERS if names & {*network(run, latest).class_names} else None
            outcome = use.predict(
                run,
                [Path(pictures)],
                output=place,
                labels=labels,
                latest=latest,
                reporter=Words(tell),
            )
        else:
            outcome = use.evaluate(run, output=place, latest=latest, reporter=Words(tell))
        said = ", ".join(f"{count:,} {name}" for name, count in outcome.counts.items())
        if outcome.metrics:
            said = f"{outcome.metrics['accuracy']:.2%} are right; {said}"
        written = sorted(outcome.written, key=lambda path: path.suffix != ".html")  # first to see
    return {"files": [str(path.relative_to(place)) for path in written], "said": said}
