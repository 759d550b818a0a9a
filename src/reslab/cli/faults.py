"""What is said of an error that leaves a command."""

import sys
import traceback

from reslab.errors import UserError


def in_a_line(error: Exception) -> str | None:
    """One line for an error that a user can cause, None for one of ours."""
    if isinstance(error, UserError):
        return str(error)
    if type(error).__module__.partition(".")[0] in ("hydra", "omegaconf"):
        from reslab.config import explain

        return explain(error, sys.argv[1:])
    if type(error).__module__.partition(".")[0] == "yaml":
        from reslab.config import not_yaml

        return not_yaml(error)
    last = traceback.extract_tb(error.__traceback__)[-2:]
    if isinstance(error, UnicodeDecodeError) and any("/matplotlib/" in at.filename for at in last):
        return f"matplotlibrc, in this folder, is no UTF-8: {error}"
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    if "/hydra/" in last[-1].filename:
        return str(error).partition("\n")[0]
    return None
