"""A process beside the server, which has torch: it computes, and the server goes on answering."""

import asyncio
import importlib
import json
import os
import select
import subprocess
import sys
import threading
import traceback
import weakref
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import count
from pathlib import Path
from typing import Any

from reslab.config import add_folder, own_folders
from reslab.errors import UserError

TASKS_AT_ONCE = 4
# What tasks import, before there are any: libraries that two threads import at once fail.
AHEAD = ("reslab.use", "reslab.tables.findings", "reslab.analyze.kept")
ENDED = "what computes beside the studio has ended: try again"
SECONDS_IDLE = 900  # until it ends by itself; the next task begins another

Tell = Callable[[Any], None]


class _Asked(Future[Any]):
    """What is waited for, and who hears of how far it is."""

    def __init__(self, tell: Tell | None) -> None:
        super().__init__()
        self.tell = tell


class Worker:
    """Begins when it is first asked; ends with the server, whatever ends that.

    Args:
        ahead: Modules that it imports first.
    """

    def __init__(self, ahead: Sequence[str] = AHEAD) -> None:
        self._ahead = ahead
        self._lock, self._numbers = threading.Lock(), count()
        self._process: subprocess.Popen[str] | None = None
        self._waiting: dict[int, _Asked] = {}

    async def run(self, task: Callable[..., Any], tell: Tell | None = None, **what: Any) -> Any:
        """What a function of the studio's returns that is called there.

        Args:
            task: The function; the module that has it imports torch within it.
            tell: Called with what the function's own `tell`, its first argument, is called with.
            what: Its arguments by name: plain values, as is what it returns.

        Raises:
            UserError: The function raised it, or the process has ended.
        """
        asked = self._ask(f"{task.__module__}:{task.__name__}", tell, what)
        return await asyncio.wrap_future(asked)

    def _ask(self, task: str, tell: Tell | None, what: dict[str, Any]) -> _Asked:
        asked = _Asked(tell)
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                self._begin()
            assert self._process is not None
            assert self._process.stdin is not None
            number = next(self._numbers)
            self._waiting[number] = asked
            line = {"number": number, "task": task, "what": what, "tells": tell is not None}
            try:
                self._process.stdin.write(json.dumps(line) + "\n")
                self._process.stdin.flush()
            except OSError:  # it has just ended
                if self._waiting.pop(number, None):
                    asked.set_exception(UserError(ENDED))
        return asked

    def _begin(self) -> None:
        process = subprocess.Popen(
            [sys.executable, "-m", __name__, ",".join(self._ahead), *own_folders()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # Ctrl-C is the server's alone; this ends when that has
        )
        self._process, self._waiting = process, {}
        assert process.stdin is not None
        weakref.finalize(self, process.stdin.close)
        hear = threading.Thread(
            target=_hear, args=[process, self._waiting, self._lock], daemon=True
        )
        hear.start()


def _hear(
    process: "subprocess.Popen[str]", waiting: dict[int, _Asked], lock: threading.Lock
) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        answer = json.loads(line)
        if "told" in answer:
            if tell := waiting[answer["number"]].tell:
                tell(answer["told"])
            continue
        asked = waiting.pop(answer["number"])
        if asked.cancelled():  # nobody waits any more
            continue
        if "refused" in answer:
            asked.set_exception(UserError(answer["refused"]))
        elif "fault" in answer:
            asked.set_exception(RuntimeError(answer["fault"]))
        else:
            asked.set_result(answer["result"])
    process.wait()
    with lock:  # whoever asks from now on finds that it has ended
        while waiting:
            waiting.popitem()[1].set_exception(UserError(ENDED))


def serve() -> None:
    """Does what the lines of the standard input ask, until that ends or nobody asks for long."""
    ahead, *folders = sys.argv[1:]
    for folder in folders:
        add_folder(Path(folder))
    lines = os.fdopen(os.dup(0), "rb", buffering=0)  # so that none waits where `select` is blind
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # what libraries print is no answer
    for module in filter(None, ahead.split(",")):
        importlib.import_module(module)
    lock = threading.Lock()

    def say(**answer: Any) -> None:
        with lock:
            answers.write(json.dumps(answer) + "\n")
            answers.flush()

    def do(number: int, task: str, what: dict[str, Any], tells: bool) -> None:
        module, _, name = task.partition(":")
        try:
            function = getattr(importlib.import_module(module), name)
            if tells:
                result = function(lambda told: say(number=number, told=told), **what)
            else:
                result = function(**what)
            say(number=number, result=result)
        except UserError as error:
            say(number=number, refused=str(error))
        except BaseException:
            say(number=number, fault=traceback.format_exc())

    pool = ThreadPoolExecutor(TASKS_AT_ONCE)
    work: list[Future[None]] = []
    while select.select([lines], [], [], SECONDS_IDLE)[0] or work:
        if select.select([lines], [], [], 0)[0]:
            if not (line := lines.readline()):
                break
            work.append(pool.submit(do, **json.loads(line)))
        work = [one for one in work if not one.done()]
    os._exit(0)  # whatever is still computed, nobody waits for it


if __name__ == "__main__":
    serve()
