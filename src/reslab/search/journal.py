"""The journal of a study: a file that several searchers write to, whatever stopped one."""

from pathlib import Path

from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend, JournalFileOpenLock


def open_journal(path: Path) -> JournalStorage:
    """A storage in a file of its own.

    A full disk, or a machine that went down, may have left half a line at the file's end. Optuna
    would read nothing from there on, once another line follows, so it is cut off.
    """
    lock = JournalFileOpenLock(str(path))
    if path.exists():
        lock.acquire()
        try:
            with path.open("rb+") as file:
                file.truncate(file.read().rfind(b"\n") + 1)
        finally:
            lock.release()
    return JournalStorage(JournalFileBackend(str(path), lock_obj=lock))
