"""What a source file does, apart from how it is laid out, commented and filed."""

import ast
import hashlib
from functools import cache
from typing import Any


@cache
def syntax_digest(source: bytes) -> str:
    """SHA-256 of a file's syntax tree, the same in all versions of Python.

    Without docstrings, without what errors say, and without the place within reslab that a name is
    imported from: to word a refusal anew, or to move or rename a file, leaves it as it is.
    Only what is there is written down, since newer versions add fields that older code leaves
    empty. What cannot be parsed counts byte by byte.
    """
    try:
        text = repr(_written(ast.parse(source)))
    except (SyntaxError, ValueError):
        return hashlib.sha256(source).hexdigest()
    return hashlib.sha256(text.encode()).hexdigest()


def _written(node: Any) -> Any:
    """Names and values alone, of which `repr` is the same everywhere."""
    if isinstance(node, ast.JoinedStr):  # Python 3.12.1 ends some of them with an empty text
        return ("JoinedStr", [_written(part) for part in node.values if not _is_empty(part)])
    if isinstance(node, ast.Raise) and isinstance(node.exc, ast.Call):
        told = [part for part in node.exc.args if not _is_text(part)]
        node = ast.Raise(ast.Call(node.exc.func, told, node.exc.keywords), node.cause)
    if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == "reslab":
        node = ast.ImportFrom("reslab", node.names, node.level)
    if isinstance(node, ast.AST):
        fields = ((name, value) for name, value in ast.iter_fields(node) if name != "kind")  # u""
        there = [(name, _written(value)) for name, value in fields if value not in (None, [])]
        return (type(node).__name__, *there)
    if isinstance(node, list):
        return [_written(item) for item in node if not _says_nothing(item)]
    return ascii(node)  # with its type: 1 is not 1.0, and no letter depends on a Unicode table


def _is_empty(part: Any) -> bool:
    return isinstance(part, ast.Constant) and part.value == ""


def _is_text(part: Any) -> bool:
    text = isinstance(part, ast.Constant) and isinstance(part.value, str)
    return text or isinstance(part, ast.JoinedStr)


def _says_nothing(node: Any) -> bool:
    """Whether it is a string that stands alone, such as a docstring."""
    return (
        isinstance(node, ast.Expr)
        and isinstance(node.value, ast.Constant)
        and isinstance(node.value.value, str)
    )
