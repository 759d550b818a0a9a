"""A capsule's README: what is claimed, how to check it, and how to make it again."""

import shlex
from collections.abc import Sequence

from reslab.capsule.layout import ABOUT, CONF, CONSTRAINTS, LICENSE, METADATA, RECORDS, About
from reslab.tables.claims import as_markdown, claims
from reslab.tables.findings import Findings
from reslab.tables.plan import Table

TEXT = """\
# {title}

Everything that is kept of {runs} of this table: records, logits, configurations, and the table and
pictures that are rendered of them; with the code that renders and checks them, and the digests of
the packages that this needs. Which code and packages a run had, its record says.

## What is claimed

{claims}
## Check it

This needs {python}, pip, and a network for some gigabytes of packages; `{archive}` is the archive
that this file is from. The code is of whoever made that, too: who doubts it checks with a reslab
from elsewhere.

```sh
python3 -m zipfile -e {archive} capsule
python3 -m venv environment
source environment/bin/activate
pip install --require-hashes --requirement capsule/{constraints}
pip install --no-deps capsule/{wheel}
reslab capsule check {archive}
```

The last command scores the logits again, compares each record with its configuration, its history
and its network, renders the table and its pictures anew, and says of every run what it finds. It
ends with 1, and a line for each thing that is wrong.

## Make it again

With this environment, in the folder `capsule`, each command above trains the runs of one row. These
train all that are missing, render the table, and compare the new runs with the records:

```sh
{reproduce}
{verify}
```
{own}
## What is in it

{content}
"""

OWN = f"\nThe commands above need `--config-dir {CONF}` too.\n"


def archive_name(table: Table) -> str:
    """What a table's capsule is called."""
    return f"{'-'.join(table.place.parts)}.zip"


def readme(findings: Findings, about: About, wheel: str, python: str, has_conf: bool) -> str:
    """The text.

    Args:
        findings: What the table's records come to.
        about: What the capsule says of itself.
        wheel: The wheel's name.
        python: Which versions of Python it takes, as a wheel has it.
        has_conf: Whether there are configurations of the user's own.
    """
    table, done = findings.table, len(findings.done)
    asked = [about.table, *about.overrides, *(["--quick"] if about.quick else [])]
    if has_conf:
        asked += ["--config-dir", str(CONF)]
    return TEXT.format(
        title=table.heading,
        runs=f"{done} run{'s' * (done > 1)}",
        claims=as_markdown(claims(findings)),
        python=f"Python {python.removeprefix('>=')} or newer",
        archive=archive_name(table),
        constraints=CONSTRAINTS,
        wheel=wheel,
        reproduce=shlex.join(["reslab", "reproduce", *asked]),
        verify=shlex.join(["reslab", "verify", *asked]),
        own=OWN if has_conf else "",
        content=_content(table, wheel, has_conf),
    )


def _content(table: Table, wheel: str, has_conf: bool) -> str:
    place = RECORDS / table.place.as_posix()
    rows: Sequence[tuple[str, str]] = [
        (f"{place}/runs/", "of each run its record, configuration, logits, curves and gradients"),
        (f"{place}/", "the table, a page to explore, and pictures"),
        (wheel, "the code, and all configurations that it comes with; a zip of readable files"),
        *([(f"{CONF}/", "further configurations")] if has_conf else []),
        (CONSTRAINTS, "one version of each package, and the SHA-256 of its files"),
        (METADATA, "each file with its size and SHA-256, as RO-Crate 1.1 has it"),
        (ABOUT, "what was asked, and with which versions it was rendered"),
        (LICENSE, "the license of all of this"),
    ]
    return "\n".join(f"- `{name}`: {text}" for name, text in rows)
