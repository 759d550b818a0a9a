"""What lies in a folder of runs, before anything of them is read."""

import os
from pathlib import Path


def folders(folder: Path) -> dict[str, int]:
    """The folders in a folder, the latest first, with when something in each changed (ns)."""
    found = {}
    try:
        for entry in os.scandir(folder):
            if entry.is_dir():
                found[entry.name] = entry.stat().st_mtime_ns
    except OSError:  # not there yet, or deleted just now
        pass
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def what_is_strange(folder: Path) -> str:
    """What in a run's folder is not to be read: it leads elsewhere, or reading it would not end."""
    try:
        for entry in os.scandir(folder):
            if not (entry.is_dir() or entry.is_file(follow_symlinks=False)):
                kind = "a link" if entry.is_symlink() else "no file"
                return f"{entry.name} is {kind}, of which nothing is read"
    except OSError:  # deleted just now
        pass
    return ""
