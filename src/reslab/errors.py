"""The one exception that reaches the user as a single line."""


class UserError(Exception):
    """A fault that the user can mend: the message names the field or file and what to do."""
