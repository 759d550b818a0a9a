"""The one exception that reaches the user as a single line, and what is behind another."""


class UserError(Exception):
    """A fault that the user can mend: the message names the field or file and what to do.

    It is one line whatever it quotes: of a name or a file of others, what is no text to be shown
    comes as its code.
    """

    def __init__(self, message: str) -> None:
        super().__init__(in_one_line(message))


def in_one_line(text: str) -> str:
    """The text with codes in the places of what cannot be shown, ends of lines among them."""
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def behind(error: BaseException, *kinds: type[BaseException]) -> BaseException | None:
    """The nearest error of some kinds in which another arose, itself included; None without one."""
    found: BaseException | None = error
    while found is not None and not isinstance(found, kinds):
        found = found.__context__
    return found


def stop_behind(error: BaseException) -> BaseException | None:
    """The stop in which an error arose, None for an error of its own.

    A signal may end the process within any library's code, whose cleaning up may then fail and
    put an error of its own in the stop's place.
    """
    return behind(error, SystemExit, KeyboardInterrupt)
