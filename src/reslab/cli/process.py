"""What a command needs of its process, however it was started: streams, signals, a home."""

import contextlib
import errno
import io
import os
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from reslab.jobs.parent import end_with_parent

# What Hydra writes before it raises what a run raised, of which a line is said anyway.
HYDRA_S_LINE = "Error executing job with overrides: "

READER_IS_GONE = (errno.EPIPE, errno.EIO)


class _Lasting:
    """A stream whose reader may go, as a terminal or a pipe does: what comes then is dropped.

    So is all that a stream of notes cannot take; results that a disk has no place for are an error.
    Of notes Hydra's line about an error is dropped too.
    """

    def __init__(self, stream: TextIO, *, has_results: bool) -> None:
        self._stream, self._has_results = stream, has_results

    def write(self, text: str) -> int:
        if self._has_results or not text.startswith(HYDRA_S_LINE):
            with self._forgiving():
                self._stream.write(text)
        return len(text)

    def flush(self) -> None:
        with self._forgiving():
            self._stream.flush()

    @contextlib.contextmanager
    def _forgiving(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            if self._has_results and error.errno not in READER_IS_GONE:
                raise

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def prepare_process() -> None:
    """Sees to it that neither a library nor a signal finds what it does not expect."""
    _prepare_streams()
    for signum in {signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)}:
        if signal.getsignal(signum) != signal.SIG_IGN:  # as nohup has it
            signal.signal(signum, lambda signum, frame: sys.exit(128 + signum))
    end_with_parent()
    # Figures are ours and files, whatever a user has asked of others.
    os.environ |= {"MPLBACKEND": "agg", "MATPLOTLIBRC": os.devnull}
    try:
        Path.home()
    except RuntimeError:  # a user without a name, as in a container
        with contextlib.suppress(FileNotFoundError):
            os.environ["HOME"] = tempfile.gettempdir()


def _prepare_streams() -> None:
    """Has both outputs there, able to take any text, and never the end of what was worked for.

    A service may start a command without streams; then the numbers 0 to 2 must be taken, else the
    next file that is opened would get one of them, and with it what C code prints.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115  # to the end
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")
        setattr(sys, name, _Lasting(stream, has_results=name == "stdout"))
