"""The studio's server within this process, who asks it, and runs that were never trained."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import yaml

from processes import wait_for
from reslab.reporter import Reporter
from reslab.runs.record import Provenance, Record
from reslab.runs.request import Request
from reslab.studio.security import Access
from reslab.studio.server import application, listen
from reslab.studio.worker import Worker

TOKEN = "a-token-of-the-tests-own-long-enough"

TINY = {"dataset": "digits", "model": "baseline_cnn", "model.widths": "[8,8,8]"}  # in the form

CONFIG = {
    "seed": 0,
    "runs_dir": "outputs/runs",
    "dataset": {"name": "digits", "seed": 0, "batch_size": 64, "_target_": "reslab.data.ImageData"},
    "model": {"name": "baseline_cnn", "_target_": "reslab.nn.PlainCNN"},
    "optimizer": {"lr": 0.1, "_target_": "reslab.optim.Optimization"},
}


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Heard(Reporter):
    """What was said, and what was warned of."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    warn = say


class AtHand(Worker):
    """Computes in this process, which has torch already, what another is to."""

    async def run(self, task, tell=None, **what):
        return json.loads(json.dumps(await asyncio.to_thread(task, *filter(None, [tell]), **what)))


class Served:
    """A server that answers at `port`."""

    def __init__(self, runs: Path, port: int, reporter: Heard) -> None:
        self.runs, self.port, self.reporter = runs, port, reporter
        self.address = f"http://127.0.0.1:{port}/?token={TOKEN}"

    def ask(
        self, path: str, body: bytes | None = None, *, token: str | None = TOKEN, **headers: str
    ) -> Answer:
        """Asks as a page that was let in does; `Host` and `Origin` may be others'."""
        host = headers.setdefault("Host", f"127.0.0.1:{self.port}")
        port = host.rpartition(":")[2] if host[-1:].isdigit() and ":" in host else "80"
        if token is not None:
            headers.setdefault("Cookie", f"reslab-studio-{port}={token}")
        connection = HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            connection.request("GET" if body is None else "POST", path, body, headers)
            answer = connection.getresponse()
            return Answer(answer.status, dict(answer.headers), answer.read())
        finally:
            connection.close()


@contextmanager
def served(
    runs: Path,
    port: int = 0,
    host: str = "127.0.0.1",
    data_dir: Path = Path("data"),
    worker: Worker | None = None,
) -> Iterator[Served]:
    """A server for the time that it is entered, at a free port if none is given."""
    reporter, loop, ready = Heard(), asyncio.new_event_loop(), threading.Event()
    found: list[Any] = []

    async def serve() -> None:
        app = application(runs, Access(TOKEN, host), reporter, data_dir)
        app.settings["worker"] = worker or app.settings["worker"]
        server = listen(app, host, port)
        (socket, *_) = server._sockets.values()
        found.extend([socket.getsockname()[1], stop := asyncio.Event()])
        ready.set()
        await stop.wait()
        server.stop()
        await server.close_all_connections()

    thread = threading.Thread(target=loop.run_until_complete, args=[serve()])
    thread.start()
    try:
        assert ready.wait(10)
        yield Served(runs, found[0], reporter)
    finally:
        loop.call_soon_threadsafe(found[1].set)
        thread.join()
        loop.close()


def write_run(
    runs: Path,
    name: str,
    *,
    seed: int = 0,
    test: float | None = None,
    lr: float = 0.1,
    failure: str | None = None,
    epochs: int = 2,
) -> Path:
    """A run's folder as training leaves it: finished if `test`, its accuracy, is given."""
    folder = runs / name
    folder.mkdir(parents=True)
    dataset, optimizer = CONFIG["dataset"] | {"seed": seed}, CONFIG["optimizer"] | {"lr": lr}
    config = CONFIG | {"seed": seed, "dataset": dataset, "optimizer": optimizer}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    request = Request.here(["dataset=digits"], "a_recipe")
    request.write(folder / "request.json")
    rows = [f"{at},{0.5 + at / 10},60.0" for at in range(1, epochs + 1)]
    (folder / "metrics.csv").write_text("\n".join(["epoch,val/accuracy,seconds", *rows, ""]))
    if failure:
        (folder / "failure.txt").write_text(f"{failure}\n\nTraceback ...\n")
    if test is not None:
        (folder / "metrics.json").write_text(json.dumps(record(seed, test).as_json()))
    return folder


def record(seed: int, test: float) -> Record:
    origin = Provenance("a machine, 2 cores", "32-true", 2, {}, None, "c", "d", True, "cpu")
    none = dict.fromkeys(
        [
            *("val_loss", "test_loss", "last_test_accuracy", "train_accuracy", "train_loss"),
            *("epoch_seconds", "images_per_second", "inference_images_per_second"),
        ],
        0.0,
    )
    return Record(
        identity="0" * 8,
        recipe="a_recipe",
        overrides=(),
        seed=seed,
        parameters=391370,
        macs=1,
        epochs=2,
        best_epoch=1,
        val_accuracy=test,
        test_accuracy=test,
        seconds=120.0,
        peak_memory_bytes=0,
        checkpoint_bytes=0,
        provenance=origin,
        finished="2026-01-01T00:00:00+0000",
        **none,
    )


def until(condition, seconds: float = 10) -> Any:
    """What a condition comes to, once that is true."""
    return wait_for(condition, seconds)


class Studio:
    """`reslab studio` as a process of its own, which may be killed and started again."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, 0
        self.start()

    def start(self) -> None:
        options = ["--no-browser", "--runs-dir", "runs", "--config-dir", "conf"]
        for port in [self.port] if self.port else range(18642, 18742):
            self.process = subprocess.Popen(
                [sys.executable, "-m", "reslab", "studio", *options, "--port", str(port)],
                cwd=self.folder,
                env=os.environ
                | {"XDG_STATE_HOME": str(self.folder / "state"), "PYTHONUNBUFFERED": "1"},
                stderr=subprocess.STDOUT,
                stdout=subprocess.PIPE,
                text=True,
            )
            line = self.process.stdout.readline()
            if "token=" in line:
                self.port, self.address = port, line.split()[-1]
                return
        raise AssertionError("no port is free")

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()


def trial(number: int, state: str = "finished", value: float | None = None, **more: Any) -> dict:
    """A trial as `search.json` has it."""
    lr = 10 ** -(1 + number % 3)
    return {
        "number": number,
        "state": state,
        "value": value,
        "epochs": 2,
        "chosen": {"optimizer.lr": lr, "model.dropout": "0.2"},
        "run": f"trial-{number}",
        "reason": None,
    } | more


def write_search(runs: Path, name: str, trials: list[dict], **more: Any) -> Path:
    """A search's folder with its record, of which some trial with a value is the best."""
    folder = runs / "searches" / name
    folder.mkdir(parents=True)
    ended = [one for one in trials if one["state"] == "finished"]
    content = {
        "study": name,
        "storage": None,
        "overrides": ["dataset=digits", "model=resnet20"],
        "bounds": {
            "model.dropout": {"texts": ["0.0", "0.2"]},
            "optimizer.lr": {"low": 1e-4, "high": 0.1, "log": True, "step": None},
        },
        "monitor": "val/accuracy",
        "seed": 0,
        "sampler": {"_target_": "optuna.samplers.TPESampler"},
        "pruner": {"_target_": "optuna.pruners.MedianPruner"},
        "maximizes": True,
        "trials_asked": 20,
        "trials": trials,
        "best": max(ended, key=lambda one: one["value"])["number"] if ended else None,
        "command": None,
        "goes_on": "reslab search dataset=digits 'optimizer.lr=log(1e-4,1e-1)'",
        "importances": {},
    }
    (folder / "search.json").write_text(json.dumps(content | more))
    return folder
