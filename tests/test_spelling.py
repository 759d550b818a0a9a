"""What people read of reslab is spelled as in America."""

import ast
import re
from pathlib import Path

import reslab

PACKAGE = Path(reslab.__file__).parent
BRITISH = re.compile(
    r"colour|\bgrey\b|labelled|cancelled|modell(ed|ing)|(behavi|neighb|fav|hon)our|\bcentred?\b|"
    r"(normal|optim|organ|recogn|initial|visual|summar)is(e|ing)|\banalyse(d|rs?)?\b|catalogue|artefact",
    re.IGNORECASE,
)


def texts(tree):
    """All strings but docstrings, which are for whoever reads the code."""
    prose = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def test_messages_have_american_spelling():
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {text}"
        for path in sorted(PACKAGE.rglob("*.py"))
        for line, text in texts(ast.parse(path.read_text()))
        if BRITISH.search(text)
        and text not in ("reslab.reports.labelled", "CANCELLED")  # the latter is SLURM's
    ]
    assert found == []
