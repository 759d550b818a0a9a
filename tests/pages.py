"""The README and the pages that it leads to, in its order: what they say to type, and files."""

import re

from conftest import REPOSITORY

README = REPOSITORY / "README.md"
LINK = re.compile(r"\]\(([^)\s]+)\)")
PAGES = [README] + [
    REPOSITORY / target
    for target in dict.fromkeys(LINK.findall(README.read_text()))
    if re.fullmatch(r"docs/\w+\.md", target)
]
BLOCKS = [
    block
    for page in PAGES
    for block in re.findall(r"```(\w+)\n(.*?)```", page.read_text(), re.DOTALL)
]
COMMANDS = [line for kind, block in BLOCKS if kind == "sh" for line in block.splitlines()]
# Blocks that are files: a comment with the path stands at their head.
FILES = {
    found[1]: block
    for _, block in BLOCKS
    if (found := re.match(r"(?:# @package \S+\n)?# (\S+\.(?:py|yaml))\n", block))
}
REFERENCE = REPOSITORY / "outputs/reference"
