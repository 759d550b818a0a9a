"""Signals: the first asks for a stop where nothing is lost, a second Ctrl-C stops at once."""

import signal
from types import FrameType
from typing import Any, Self

from reslab import ranks
from reslab.lightning_bypass import KeepsSignals
from reslab.reporter import SILENT, Reporter


class Stopped(SystemExit):
    """Ends the process with 128 + the signal's number; nothing on the way catches it."""

    def __init__(self, signum: int) -> None:
        super().__init__(128 + signum)


class StopRequest(KeepsSignals):
    """Holds SIGINT, SIGTERM and a terminal's hang-up while it is entered; what is ignored stays so.

    In training a signal is only noted: whoever saves checkpoints calls `raise_if_requested` after
    saving one. Elsewhere it stops the process at once. Of several processes all are told of what
    one knows: alone it would save, or stop, while the others wait for it.
    """

    def __init__(self, reporter: Reporter = SILENT) -> None:
        self.reporter = reporter
        self.requested = 0
        self._training = False
        self._handlers_before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._handlers_before = {signum: signal.getsignal(signum) for signum in self.SIGNALS}
        for signum, handler in self._handlers_before.items():
            if handler != signal.SIG_IGN:
                signal.signal(signum, self._handle)
        return self

    def __exit__(self, *exception: object) -> None:
        for signum, handler in self._handlers_before.items():
            signal.signal(signum, handler)

    def is_requested(self, *, or_due: bool) -> bool:
        """Whether a signal has come, or what is done then is due without."""
        return any(ranks.largest(or_due, self.requested))

    def raise_if_requested(self) -> None:
        """Stops if a signal has come, once all processes have come here."""
        (signum,) = ranks.largest(self.requested)
        if signum:
            raise Stopped(signum)

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        super().on_train_start(trainer, pl_module)
        self._training = True

    def on_exception(self, trainer: Any, pl_module: Any, exception: BaseException) -> None:
        self._training = False

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        self.raise_if_requested()
        self._training = False
        if self.requested:  # just now
            raise Stopped(self.requested)

    def _handle(self, signum: int, frame: FrameType | None) -> None:
        if not self._training or (self.requested and signum == signal.SIGINT):
            raise Stopped(signum)
        self.requested = signum
        self.reporter.say("stopping after this step; Ctrl-C again stops at once")
