"""Claims on GPUs: of a user's commands on a machine one has runs on a GPU, unless all share it."""

import contextlib
import fcntl
import os
import socket
from collections.abc import Iterator
from urllib.parse import quote

from reslab.errors import UserError
from reslab.files import user_state
from reslab.jobs.slots import Slot, uuid_of


class TakenError(UserError):
    """Another command has runs on a GPU."""


@contextlib.contextmanager
def claimed(slot: Slot) -> Iterator[tuple[int, ...]]:
    """Claims a slot's GPU while it is entered, and for the life of whoever inherits the claim.

    Where no file can be locked, without a GPU, or on one that is let to it, nothing is claimed.

    Yields:
        The files that are to be inherited.

    Raises:
        TakenError: A run that another command has begun is on it.
    """
    with contextlib.ExitStack() as claim:
        files: tuple[int, ...] = ()
        if slot.gpu is not None and slot.claim:
            name = f"gpu-{quote(socket.gethostname())}-{quote(uuid_of(slot.gpu), '')}.lock"
            path = user_state() / name
            with contextlib.suppress(OSError):
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                files = (os.open(path, os.O_RDWR | os.O_CREAT, 0o600),)
                claim.callback(os.close, *files)
                try:
                    how = fcntl.LOCK_SH if slot.claim == "shared" else fcntl.LOCK_EX
                    fcntl.flock(files[0], how | fcntl.LOCK_NB)
                except BlockingIOError:
                    message = f"{slot.name} has a run of another command's"
                    raise TakenError(message) from None
        yield files


def is_free(slot: Slot) -> bool:
    """Whether a slot's GPU could be claimed now."""
    try:
        with claimed(slot):
            return True
    except TakenError:
        return False
