"""The queue: runs that are begun in turn, on disk, so that a server may come and go."""

import contextlib
import json
import os
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Literal

import psutil

from reslab import locks
from reslab.content import build, parse
from reslab.errors import UserError
from reslab.files import write_atomically
from reslab.jobs.claims import TakenError
from reslab.jobs.pool import Job
from reslab.jobs.slots import Slot, find_gpus, find_slots
from reslab.ranges import check_whole
from reslab.studio.entries import Entry, Queue

MOST_AT_ONCE = 64


class Queues:
    """The queue of this machine for a folder of runs, whoever drives it.

    All of it is in a file, which is changed under a lock: several servers may look after it.

    Args:
        runs_dir: Where runs lie.
        running: Gives the names of all runs that go on, those begun elsewhere too.
    """

    def __init__(self, runs_dir: Path, running: Callable[[], set[str]]) -> None:
        self.runs_dir, self._running = runs_dir, running
        self.file = runs_dir / f".queue-{socket.gethostname()}.json"
        self._jobs: dict[str, Job] = {}  # begun by this server, by entry

    def read(self) -> Queue:
        """The queue as it is.

        Raises:
            UserError: The file is damaged.
        """
        try:
            content = parse(self.file.read_bytes())
            entries = [build(Entry, one) for one in content["entries"]]
            queue: Queue = build(Queue, content | {"entries": entries})
            check_whole("at_once", queue.at_once, 1, MOST_AT_ONCE)
            return queue
        except FileNotFoundError:
            return Queue()
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{self.file} is damaged ({error}): delete it") from error

    @contextlib.contextmanager
    def changed(self) -> Iterator[Queue]:
        """The queue to be changed; it is written when this is left."""
        self.runs_dir.mkdir(parents=True, exist_ok=True)
        with locks.held(self.file.with_suffix(".lock"), timeout=20):
            queue = self.read()
            before = asdict(queue)
            yield queue
            if (after := asdict(queue)) != before:
                write_atomically(self.file, json.dumps(after, indent=1).encode())

    def add(self, entries: Sequence[Entry]) -> None:
        """Puts entries behind the others.

        Raises:
            UserError: One is there already.
        """
        with self.changed() as queue:
            self._see_what_has_ended(queue)
            for entry in queue.running():
                if entry.has_let_go(entry.cell(self.runs_dir).directory):
                    queue.remove(entry)
                    self._jobs.pop(entry.id, None)
            there = {entry.name for entry in queue.entries if not entry.has_ended}
            if twice := next((entry for entry in entries if entry.name in there), None):
                raise UserError(f"{twice.name} is in the queue already")
            anew = {entry.name for entry in entries}  # which had ended
            queue.entries = [one for one in queue.entries if one.name not in anew] + [*entries]

    def set_order(self, ids: Sequence[str]) -> None:
        """Orders what waits; what is not named comes last."""
        with self.changed() as queue:
            place = {one: at for at, one in enumerate(ids)}
            queue.entries.sort(key=lambda entry: place.get(entry.id, len(place)))

    def set_at_once(self, number: int) -> None:
        """Says how many may go on at once.

        Raises:
            UserError: That is no such number.
        """
        if not 1 <= number <= MOST_AT_ONCE:
            raise UserError(f"at once: give a number from 1 to {MOST_AT_ONCE}, got {number}")
        with self.changed() as queue:
            queue.at_once = number

    def take_out(self, ids: Sequence[str]) -> None:
        """Takes entries out: what goes on is told to save and end, and is gone when it has."""
        with self.changed() as queue:
            for entry in [one for one in queue.entries if one.id in ids]:
                if not entry.is_running:
                    queue.remove(entry)
                elif entry.is_alive(self.runs_dir):
                    os.kill(entry.pid, signal.SIGTERM)
                    queue.put(replace(entry, stopping=True))

    def work(self) -> None:
        """Sees what has ended, and begins what there is room for."""
        if not self.read().entries:
            return
        with self.changed() as queue:
            self._see_what_has_ended(queue)
            if waiting := [entry for entry in queue.entries if entry.state == "waiting"]:
                busy = {entry.name for entry in queue.running()} | self._running()
                room = max(0, queue.at_once - len(busy))
                for at, entry in enumerate(waiting):
                    begun = self._begun(entry, queue) if at < room else replace(entry, reason="")
                    queue.put(begun)

    def _begun(self, entry: Entry, queue: Queue) -> Entry:
        slots = slots_for(queue.at_once)
        taken = {one.slot for one in queue.running()}
        # Those of this queue let more come beside them, since that was asked for.
        ours = {one.gpu for one in queue.running()}
        for at in [at for at in range(len(slots)) if at not in taken] or [0]:
            slot = replace(slots[at], claim=None) if slots[at].gpu in ours else slots[at]
            try:
                job = Job(entry.cell(self.runs_dir.resolve()), slot, outlives=True)
            except TakenError as error:
                entry = replace(entry, reason=f"waits: {error}")
                continue
            except UserError as error:
                return replace(entry, state="failed", reason=str(error))
            self._jobs[entry.id] = job
            known = {"pid": job.pid, "process_started": psutil.Process(job.pid).create_time()}
            return replace(entry, state="running", reason="", slot=at, gpu=slot.gpu, **known)
        return entry

    def _see_what_has_ended(self, queue: Queue) -> None:
        for entry in queue.running():
            job = self._jobs.get(entry.id)
            if job is None:
                if not entry.is_alive(self.runs_dir):
                    self._see_what_is_left(entry, queue)
            elif end := job.look():
                del self._jobs[entry.id]
                self._end(entry, queue, end.reason if end.state in ("failed", "elsewhere") else "")

    def _see_what_is_left(self, entry: Entry, queue: Queue) -> None:
        """Of what another server began, what it left alone says what became of it."""
        cell = entry.cell(self.runs_dir)
        reason, state = "", cell.directory.state()
        if not (cell.directory.config_file.exists() or cell.directory.failure_file.exists()):
            reason = cell.last_line() or "it ended before its run began, and said nothing"
            cell.record_failure(reason)
        elif state == "finished":
            cell.output.unlink(missing_ok=True)  # the run's own log has it
        elif state == "failed":
            reason = cell.directory.why()
        elif state == "interrupted" and not entry.stopping:
            reason = cell.last_line() or "it ended before the run was finished, and said nothing"
        self._end(entry, queue, reason)

    def _end(self, entry: Entry, queue: Queue, reason: str) -> None:
        """Keeps an entry that something has ended, in the word that the table of runs has."""
        if reason:
            run = entry.cell(self.runs_dir).directory
            interrupted = run.state() == "interrupted"
            state: Literal["interrupted", "failed"] = "interrupted" if interrupted else "failed"
            queue.put(replace(entry, state=state, reason=reason))
        else:
            queue.remove(entry)


@cache
def slots_for(at_once: int) -> list[Slot]:
    """Slots for as many runs at once: more than there are GPUs share them, for it was asked."""
    gpus = find_gpus()
    per_gpu = -(-at_once // len(gpus)) if gpus else 1
    return find_slots(at_once, per_gpu)
