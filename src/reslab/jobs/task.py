"""What whoever launches cells may tell a launcher of them."""

from abc import ABC, abstractmethod

from reslab.errors import UserError
from reslab.reporter import Reporter


class CellTask(ABC):
    """A Hydra task function that knows the cells that it launches, by their numbers from 0.

    Attributes:
        reporter: Is told what happens.
    """

    reporter: Reporter

    @abstractmethod
    def title(self, number: int) -> str:
        """What people know a cell by."""

    @abstractmethod
    def work(self, number: int) -> float:
        """What a cell costs beside the others."""

    @abstractmethod
    def on_finished(self, number: int) -> None:
        """Is called when a cell is finished.

        Raises:
            UserError: What was to be done then cannot be: the cell has failed.
        """


class StoppedError(UserError):
    """What a cell comes to that was asked to stop, and by itself: no failure."""
