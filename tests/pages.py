"""The README and the pages that it leads to, in its order: what they say to type, and files."""

import re
from pathlib import Path

from conftest import REPOSITORY

README = REPOSITORY / "README.md"
LINK = re.compile(r"\]\(([^)\s]+)\)")
PAGES = [README] + [
    REPOSITORY / target
    for target in dict.fromkeys(LINK.findall(README.read_text()))
    if re.fullmatch(r"docs/[\w-]+\.md", target)
]
YOUR_PICTURES = REPOSITORY / "docs/your-pictures.md"  # whose commands have a test of their own


def blocks(*pages: Path) -> list[tuple[str, str]]:
    """Kind and content of what stands on pages as code."""
    return [
        block
        for page in pages
        for block in re.findall(r"```(\w+)\n(.*?)```", page.read_text(), re.DOTALL)
    ]


def commands(blocks: list[tuple[str, str]]) -> list[str]:
    """The lines to type."""
    return [line for kind, block in blocks if kind == "sh" for line in block.splitlines()]


def files(blocks: list[tuple[str, str]]) -> dict[str, str]:
    """Blocks that are files: a comment with the path stands at their head."""
    return {
        found[1]: block
        for _, block in blocks
        if (found := re.match(r"(?:# @package \S+\n)?# (\S+\.(?:py|yaml))\n", block))
    }


CLUSTER = REPOSITORY / "docs/cluster.md"  # as do those, in `test_slurm` and `test_ddp`
BLOCKS = blocks(*(page for page in PAGES if page not in (YOUR_PICTURES, CLUSTER)))
COMMANDS, FILES = commands(BLOCKS), files(BLOCKS)
REFERENCE = REPOSITORY / "outputs/reference"
