"""The one exception that reaches the user as a single line, and what is behind another."""


class UserError(Exception):
    """A fault that the user can mend: the message names the field or file and what to do."""


def stop_behind(error: BaseException) -> SystemExit | KeyboardInterrupt | None:
    """The stop in which an error arose, None for an error of its own.

    A signal may end the process within any library's code, whose cleaning up may then fail and
    put an error of its own in the stop's place.
    """
    behind: BaseException | None = error
    while behind is not None and not isinstance(behind, SystemExit | KeyboardInterrupt):
        behind = behind.__context__
    return behind
