"""One look at the folder of runs for all tabs, and to each what has changed since its last."""

import secrets
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from reslab.errors import UserError
from reslab.runs.facts import Facts
from reslab.runs.index import SETTLED_NS, Index
from reslab.runs.record import Record
from reslab.runs.repeat import Repeat, Standing
from reslab.runs.seeds import count_once, titles
from reslab.runs.store import RunDirectory
from reslab.studio.disk import folders, what_is_strange
from reslab.studio.lines import Lines
from reslab.studio.runs import line, line_of_seeds

SECONDS_BETWEEN_LOOKS = 0.4
# Of the first look at the most, so that a table shows at once; what it leaves is for the next ones,
# each of which may take twice as long as that before: each names all runs anew.
SECONDS_OF_A_FIRST_LOOK = 0.3
STRANGE = "strange"  # a run in whose folder is what no run writes


class Known(NamedTuple):
    """A run, what it is a repeat of where its configuration is whole, and its line."""

    directory: RunDirectory
    repeat: Repeat | None
    line: dict[str, Any]


@dataclass
class _Seen:
    """A run as it was at the last look."""

    directory: RunDirectory
    changed: int = 0  # when something in its folder did, ns
    state: str = ""
    repeat: Repeat | None = None
    facts: Facts | None = None
    title: str = ""
    group: str = ""
    copy_of: str | None = None


class Scan:
    """All runs of a folder, looked at no oftener than two or three times a second.

    Args:
        folder: Where runs lie.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._origin = secrets.token_hex(4)  # the cursor of a server before this one is none
        self._seen: dict[str, _Seen] = {}
        self._index, self._lines = Index(folder), Lines()
        self._look_number, self._looks, self._looked, self._whole = 0, 0, 0.0, False

    def find(self, name: str) -> RunDirectory:
        """The run of that name, in this folder and nowhere else.

        Raises:
            UserError: There is none.
        """
        with self._lock:
            if name not in self._seen:
                self._look()
                while not self._whole and name not in self._seen:
                    self._look()
            if name not in self._seen:
                raise UserError(f"no run is called {name} under {self.folder}")
            one = self._seen[name]
            if one.state == STRANGE and one.facts:
                raise UserError(f"{name}: {one.facts.why}")
            return one.directory

    def read_all(self) -> None:
        """Looks until every run has been looked at."""
        while self.changes()["more"]:
            pass

    def queued(self) -> list[RunDirectory]:
        """The runs that wait for a cluster, as the last look saw it."""
        with self._lock:
            return [one.directory for one in self._seen.values() if one.state == "queued"]

    def known(self, name: str) -> Known | None:
        """What the last look saw of a run, None if it saw none of that name."""
        with self._lock:
            one = self._seen.get(name)
            if one is None:
                return None
            return Known(one.directory, one.repeat, self._lines.now[name][0])

    def facts(self) -> list[Facts]:
        """What is known of all runs."""
        with self._lock:
            self._look_if_due()
            return [one.facts for one in self._seen.values() if one.facts]

    def records(self) -> list[Record]:
        """Those of all finished runs."""
        with self._lock:
            self._look_if_due()
            repeats = [one.repeat for one in self._seen.values() if one.repeat]
        return [record for one in repeats if (record := one.record)]

    def changes(self, since: str = "") -> dict[str, Any]:
        """What is different since an answer before.

        Args:
            since: That answer's `cursor`, none for all.

        Returns:
            `lines` that are new or changed; the names of those that are `gone`; whether these are
            `all`; whether there are `more` to come; the `cursor`; and the `folder`.
        """
        with self._lock:
            self._look_if_due()
            origin, _, number = since.partition("-")
            known = int(number) if origin == self._origin and number.isdigit() else -1
            lines = self._lines
            return {
                "lines": [one for one, look in lines.now.values() if look > known],
                "gone": [name for name, look in lines.gone.items() if look > known >= 0],
                "all": known < 0,
                "more": not self._whole,
                "cursor": f"{self._origin}-{self._look_number}",
                "folder": str(self.folder),
            }

    def _look_if_due(self) -> None:
        if not self._whole or time.monotonic() - self._looked > SECONDS_BETWEEN_LOOKS:
            self._look()

    def _look(self) -> None:
        self._look_number += 1
        self._looks = 1 if self._whole else self._looks + 1  # since all was seen
        deadline = time.monotonic() + SECONDS_OF_A_FIRST_LOOK * 2 ** (self._looks - 1)
        entries = folders(self.folder)
        gone = self._seen.keys() - entries.keys()
        changed = {self._seen.pop(name).group for name in gone}
        for name in gone:
            self._lines.remove(name, self._look_number)
        named_anew, self._whole = bool(gone), True
        for name, when in entries.items():
            one = self._seen.get(name)
            if one and one.state == "finished" and _is_settled(one, when):
                continue
            if time.monotonic() > deadline:
                self._whole = False
                break
            if one is None:
                one = _Seen(RunDirectory(self.folder / name))
            before = one.repeat, one.facts is None
            if self._look_at(one, when):
                self._seen[name] = one
                named_anew |= before != (one.repeat, False)
                changed.add(one.group)
        if named_anew:
            changed |= self._name()
        self._write(changed)
        if self._whole:
            self._index.save()
        self._looked = time.monotonic()

    def _look_at(self, one: _Seen, changed: int) -> bool:
        """Reads a run anew, if something about it may be different; returns whether it did."""
        run = one.directory
        if not (run.config_file.exists() or run.request_file.exists()):
            return False
        if fault := what_is_strange(run.path):
            one.repeat, one.changed, one.state = None, changed, STRANGE
            is_new = one.facts is None or one.facts.why != fault
            one.facts = Facts(run.name, "failed", fault, Standing())
            return is_new
        state = run.state()
        if one.state == state and _is_settled(one, changed):
            return False
        fault = ""
        try:
            one.repeat = self._index.read(run)
        except UserError as error:
            one.repeat = None
            fault = str(error) if run.config_file.exists() else ""
        one.changed, one.state = changed, state
        one.facts = Facts.read(run, state, one.repeat, fault)
        return True

    def _name(self) -> set[str]:
        """Names all runs: what one is called depends on those that it is to be told from.

        Returns:
            The groups of which something is different.
        """
        counted, copies = count_once([one.repeat for one in self._seen.values() if one.repeat])
        called = titles(counted)
        originals = {copy.directory.name: original.directory.name for copy, original in copies}
        changed = set()
        for name, one in self._seen.items():
            group = title = name
            if one.repeat:
                title, group = called[one.repeat.group], one.repeat.group
            before = one.title, one.group, one.copy_of
            one.title, one.group, one.copy_of = title, group, originals.get(name)
            if before != (one.title, one.group, one.copy_of):
                changed |= {before[1], group}
        return changed

    def _write(self, groups: set[str]) -> None:
        """Writes the lines of groups anew."""
        members: dict[str, list[_Seen]] = {group: [] for group in groups}
        for one in self._seen.values():
            if one.group in groups:
                members[one.group].append(one)
        for group, runs in members.items():
            facts = []
            for one in runs:
                assert one.facts is not None
                self._lines.put(line(one.facts, one.title, group, one.copy_of), self._look_number)
                if one.copy_of is None:
                    facts.append(one.facts)
            if len(facts) > 1:
                seeds = line_of_seeds(facts, runs[0].title, group)
                self._lines.put(seeds, self._look_number)
            else:
                self._lines.remove(f"seeds of {group}", self._look_number)


def _is_settled(one: _Seen, changed: int) -> bool:
    if one.state == "finished" and not (one.repeat and one.repeat.is_finished):
        return False  # its record may be readable at the next look
    return one.changed == changed and time.time_ns() - changed > SETTLED_NS
