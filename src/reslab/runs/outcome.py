"""What came of a command that trains, said without torch."""

from dataclasses import dataclass

from reslab.runs.record import Record
from reslab.runs.sources import code_digest

# What is said of a run that was asked to end before its test.
UNTESTED = "trained; the test set was not read (test=false)"


@dataclass(frozen=True)
class Outcome:
    """What came of a command: the run's record, and whether this process trained it."""

    record: Record
    trained: bool

    def __str__(self) -> str:
        """What a line says of it."""
        record = self.record
        accuracy = f"test accuracy {record.test_accuracy:.2%}"
        if not self.trained:
            return f"finished, {accuracy}"
        best = f"best epoch {record.best_epoch} of {record.epochs}"
        return f"{accuracy} ({best}), {record.seconds:.0f} s"

    @property
    def is_of_older_code(self) -> bool:
        """Whether the code that can change a result has changed since."""
        return self.record.provenance.code_digest != code_digest()
