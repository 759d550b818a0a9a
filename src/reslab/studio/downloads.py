"""What is taken away: checkpoints, and exports and dashboards that are made when asked for."""

import asyncio
import json
import os
import tempfile
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import quote

from reslab.errors import UserError
from reslab.pictures.formats import SUFFIXES
from reslab.studio.drawn import Drawn
from reslab.studio.making import EXPORTS, RESULTS, make
from reslab.studio.security import Handler, RequestError
from reslab.studio.use import OfNetworks, checkpoint

CHUNK = 1 << 20
MOST_FOLDERS, DEEPEST = 500, 3
# A dashboard's scripts are within it: they may draw, and reach nothing of the studio's.
ALONE = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; font-src data:; sandbox allow-scripts allow-downloads"
)


@dataclass
class Order:
    """What was asked for, and how far it is."""

    run: str
    folder: Path
    work: "asyncio.Task[dict[str, Any]] | None" = None
    told: list[int] = field(default_factory=list)  # done, of how many

    def hear(self, told: list[int]) -> None:
        """Takes how far it is."""
        self.told = told


class Made:
    """All that was asked for since the server began, in a folder that goes with it."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="reslab-studio-")
        self.orders: dict[str, Order] = {}

    def order(self, run: str, *about: Any) -> tuple[str, Order]:
        """The order that is the same, if there is one, and its name."""
        name = sha256(json.dumps([run, *about]).encode()).hexdigest()[:20]
        return name, self.orders.setdefault(name, Order(run, Path(self._folder.name) / name))


class Downloads(Handler):
    """What all of these need."""

    @property
    def made(self) -> Made:
        """What was asked for."""
        if "made" not in self.settings:
            self.settings["made"] = Made()
        made: Made = self.settings["made"]
        return made

    async def send(self, file: Path, name: str, *, shown: bool = False) -> None:
        """Sends a file, to be kept under a name, or shown as a page."""
        how = "inline" if shown else "attachment"
        self.set_header("Content-Disposition", f"{how}; filename*=UTF-8''{quote(name, safe='')}")
        self.set_header("Content-Type", "text/html" if shown else "application/octet-stream")
        try:
            source = file.open("rb")
        except OSError as error:
            raise UserError(f"{file} cannot be read: {error.strerror}") from error
        with source:
            self.set_header("Content-Length", str(os.fstat(source.fileno()).st_size))
            while chunk := await asyncio.to_thread(source.read, CHUNK):
                self.write(chunk)
                await self.flush()


class Checkpoint(Downloads):
    """A run's checkpoint, as it is."""

    async def get(self) -> None:
        run = await asyncio.to_thread(self.scan.find, self.get_query_argument("run", strip=False))
        kind = self.get_query_argument("checkpoint", "best")
        await self.send(checkpoint(run, kind == "latest"), f"{run.name}-{kind}.ckpt")


class Make(Drawn, Downloads):
    """Has something made, and says how far it is; asked again, it is not made twice."""

    template = "made.html"

    async def post(self) -> None:
        asked = self.asked()
        run = await asyncio.to_thread(self.scan.find, str(asked.get("run")))
        kind, latest = asked.get("kind"), asked.get("checkpoint") == "latest"
        if kind not in (*EXPORTS, RESULTS):
            raise RequestError(400, f"there is no {kind}: one of {', '.join((*EXPORTS, RESULTS))}")
        folder = await asyncio.to_thread(self._folder, str(asked.get("pictures") or ""))
        file = checkpoint(run, latest)
        written = file.stat().st_mtime_ns if file.exists() else 0
        name, order = self.made.order(run.name, kind, latest, folder, written)
        if order.work is None:
            work = self.worker.run(
                make,
                order.hear,
                run=str(run.path),
                latest=latest,
                kind=kind,
                pictures=folder,
                output=str(order.folder),
            )
            order.work = asyncio.create_task(work)
        if not order.work.done():
            self.answer({"told": order.told})
            return
        if order.work.exception():
            self.made.orders.pop(name)  # so that it is tried again when it is asked for again
        self.answer({"order": name, **order.work.result()})

    def _folder(self, name: str) -> str:
        if not name:
            return ""
        if name not in (found := folders(self.settings["data_dir"])):
            raise UserError(f"there is no folder of pictures {name} in {self.settings['data_dir']}")
        return str(found[name])


class MadeFile(Downloads):
    """A file of what was made."""

    async def get(self) -> None:
        order = self.made.orders.get(self.get_query_argument("order"))
        if order is None or order.work is None or not order.work.done():
            raise RequestError(404, "that is gone since the studio was started again: make it anew")
        name = self.get_query_argument("name")
        if name not in order.work.result()["files"]:
            raise RequestError(404, f"no {name} was made")
        shown = name.endswith(".html")
        if shown:
            self.set_header("Content-Security-Policy", ALONE)
        kept = f"{order.run}-{name.removeprefix(f'{order.run}_')}"
        await self.send(order.folder / name, kept, shown=shown)


class Folders(OfNetworks):
    """Folders with pictures, by their names below the one with data."""

    template = "takeaway.html"

    async def get(self) -> None:
        self.answer({"folders": list(await asyncio.to_thread(folders, self.settings["data_dir"]))})


HANDLERS = [
    ("download/checkpoint", Checkpoint),
    ("download/make", Make),
    ("download/made", MadeFile),
    ("download/folders", Folders),
]


def folders(data_dir: Path) -> dict[str, Path]:
    """Folders with pictures, in them or in folders in them; none that lies elsewhere by a link."""
    root, found = data_dir.resolve(), {}
    for place, below, files in os.walk(root):
        folder = Path(place)
        deep = len(folder.relative_to(root).parts)
        below[:] = sorted(one for one in below if not one.startswith(".")) if deep < DEEPEST else []
        if any(Path(file).suffix.lower() in SUFFIXES for file in files):
            for one in {folder, folder.parent} if deep > 1 else {folder}:
                found[str(one.relative_to(root))] = one
        if len(found) >= MOST_FOLDERS:
            break
    return dict(sorted(found.items()))
