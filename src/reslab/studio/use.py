"""Trying networks out: pictures as a network sees them, and what it takes them for."""

import asyncio
import base64
import io
import re
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reslab.errors import UserError
from reslab.runs.store import RunDirectory
from reslab.studio.drawn import Drawn
from reslab.studio.runs import COLUMNS
from reslab.studio.security import Handler, RequestError

if TYPE_CHECKING:
    from torch import Tensor

    from reslab.classifier import Classifier
    from reslab.studio.scan import Scan

MOST_RUNS = 2  # side by side
MOST_CLASSES = 10  # of a ranking
NETWORKS_KEPT = 4


class OfNetworks(Drawn):
    """What is told of runs by their titles."""

    def title(self, name: str) -> str:
        """What a run is called."""
        one = self.scan.known(name)
        return _title(one.line) if one else name


class Networks(Drawn):
    """The runs that have a network, the latest first, and more of those that are asked for."""

    template = "use.html"

    async def get(self) -> None:
        names = [name for name in self.get_query_arguments("run", strip=False) if name][:MOST_RUNS]
        self.answer(await asyncio.to_thread(_networks, self.scan, names))


class Ready(Handler):
    """Loads networks ahead of the first picture: it takes seconds, of which the page tells."""

    async def post(self) -> None:
        for run in await _asked(self):
            await self.worker.run(get_ready, run=str(run.path), latest=_latest(self))
        self.answer({})


class Predict(OfNetworks):
    """What networks take a picture for, which is the request's body."""

    template = "predict.html"

    most_bytes = 20 << 20

    async def post(self) -> None:
        content, latest = self.body(), _latest(self)
        runs = await _asked(self)
        # What a format is may be said by the name's ending alone.
        ending = re.search(r"\.\w{1,5}$", self.get_query_argument("name", ""), re.ASCII)
        with tempfile.NamedTemporaryFile(suffix=ending[0] if ending else "") as file:
            await asyncio.to_thread(Path(file.name).write_bytes, content)
            answers = [
                await self.worker.run(predict, run=str(run.path), latest=latest, file=file.name)
                for run in runs
            ]
        self.answer({"answers": answers})


HANDLERS = [("use/networks", Networks), ("use/ready", Ready), ("use/predict", Predict)]


async def _asked(handler: Handler) -> list[RunDirectory]:
    names = handler.get_query_arguments("run", strip=False)
    if not 0 < len(names) <= MOST_RUNS:
        raise RequestError(400, f"ask for one run, or for {MOST_RUNS}")
    return [await asyncio.to_thread(handler.scan.find, name) for name in names]


def _latest(handler: Handler) -> bool:
    return handler.get_query_argument("checkpoint", "best") == "latest"


def _networks(scan: "Scan", names: list[str]) -> dict[str, Any]:
    scan.read_all()
    begun = COLUMNS.index("Begun")
    lines = [
        line
        for line in scan.changes()["lines"]
        if "runs" not in line and RunDirectory(scan.folder / line["name"]).best.exists()
    ]
    lines.sort(key=lambda line: -(line["number"][begun] or 0))
    networks = {line["name"]: _title(line) for line in lines}
    chosen = [_about(scan, name, networks) for name in names or list(networks)[:1]]
    listed = [{"name": name, "title": title} for name, title in networks.items()]
    return {"networks": listed, "chosen": chosen, "folder": str(scan.folder)} | {
        "most_bytes": Predict.most_bytes
    }


def _title(line: dict[str, Any]) -> str:
    text = dict(zip(COLUMNS, line["text"], strict=True))
    reached = f"{text['Test, %']} %" if text["Test, %"] else line["state"]
    return f"{text['Run']}, seed {text['Seed']}, {reached}"


def _about(scan: "Scan", name: str, networks: dict[str, str]) -> dict[str, Any]:
    try:
        run = scan.find(name)
        if name not in networks:
            raise UserError(f"{name} {_why_without(run)}")
        dataset = run.kept_config()["dataset"]
        given = {key: dataset.get(key) for key in ("channels", "size")}
        latest = run.latest.last.exists()
        return {"name": name, "title": networks[name], "dataset": dataset["name"], **given} | {
            "latest": latest
        }
    except (UserError, KeyError, AttributeError) as error:
        return {"name": name, "problem": str(error)}


def _why_without(run: RunDirectory) -> str:
    state = run.state()
    if state == "running":
        return "has no checkpoint yet: it gets one with its first epoch"
    if state == "finished":
        return "has no checkpoint: it is a record without its network"
    return f"has no checkpoint: it is {state}, and had not come to the end of an epoch"


# What follows is called in the process that computes.


def get_ready(run: str, latest: bool) -> None:
    """Loads a network.

    Raises:
        UserError: It cannot be loaded.
    """
    network(run, latest)


def predict(run: str, latest: bool, file: str) -> dict[str, Any]:
    """What a network takes a picture for.

    Args:
        run: The run's folder.
        latest: Whether its latest network is meant, not its best.
        file: The picture.

    Returns:
        What the network sees, and where it looked (Grad-CAM), as addresses of pictures; the
        ranking; what was done to the picture. Or the `problem` with it.
    """
    from reslab.evaluation.looks import overlaid
    from reslab.pictures.find import Found
    from reslab.predicting.predict import predict_files
    from reslab.reports.report import Options
    from reslab.reports.results import answer

    classifier = network(run, latest)
    (one,) = predict_files(classifier, [Found(Path(file))], batch_size=1, grad_cam=True)
    if one.image is None or one.probabilities is None or one.heat is None:
        return {"problem": one.problem}
    given = answer(one.probabilities, classifier.class_names, MOST_CLASSES, Options().threshold)
    return {
        "seen": _address(one.image),
        "looked": _address(overlaid(one.image, one.heat)),
        "answer": given.answer,
        "top": given.top,
        "notes": one.notes,
    }


def _address(image: "Tensor") -> str:
    """That of a picture uint8 `[C, S, S]` which holds all of it."""
    from PIL import Image

    pixels, content = image.permute(1, 2, 0).numpy(), io.BytesIO()
    Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels).save(content, "PNG")
    return f"data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}"


def network(run: str, latest: bool) -> "Classifier":
    """A run's network as it is now, loaded once.

    Raises:
        UserError: It cannot be loaded.
    """
    file = checkpoint(RunDirectory(Path(run)), latest)
    return _loaded(run, latest, file.stat().st_mtime_ns if file.exists() else 0)


def checkpoint(run: RunDirectory, latest: bool) -> Path:
    """The file that has a run's network.

    Raises:
        UserError: It lies elsewhere, by a link, from where nothing is served.
    """
    file = run.latest.last if latest else run.best
    if not file.resolve().is_relative_to(run.path.resolve()):
        raise UserError(f"{run.name}: {file.name} is a link out of the run: put the file there")
    return file


@lru_cache(NETWORKS_KEPT)
def _loaded(run: str, latest: bool, written: int) -> "Classifier":
    from reslab.predicting.load import load

    return load(run, device="auto", latest=latest)
