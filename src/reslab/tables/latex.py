"""The table for a paper."""

import re

from reslab.tables.columns import Chosen, as_text, choose, choose_of_pairs
from reslab.tables.findings import Findings

DIGITS = ("Zero", "One", "Two", "Three", "Four", "Five", "Six", "Seven", "Eight", "Nine")
LATEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "\\": r"\textbackslash{}",
}


def latex(findings: Findings) -> str:
    """The table for a paper, to `input`; it needs the packages booktabs and graphicx."""
    table, pairs = findings.table, findings.pairs
    texts = [as_text(choose(findings.lines, table.publication.columns))]
    texts += [as_text(choose_of_pairs(pairs))] if pairs else []
    parts = [f"\\resizebox{{\\linewidth}}{{!}}{{%\n{_tabular(*one)}}}" for one in texts]
    return "\n".join(
        [
            "% needs \\usepackage{booktabs,graphicx}",
            "\\begin{table}",
            "\\centering",
            f"\\caption{{{_escaped(table.heading)}.}}",
            f"\\label{{tab:{'-'.join(table.place.parts)}}}",
            "\n\n\\medskip\n".join(parts),
            "",
            "\\medskip",
            "\\begin{minipage}{\\linewidth}\\footnotesize",
            "\\\\\n".join(map(_escaped, findings.notes)),
            "\\end{minipage}",
            "\\end{table}",
            "",
        ]
    )


def _tabular(headings: list[str], rows: list[list[str]]) -> str:
    body = [f"{' & '.join(map(_escaped, row))} \\\\" for row in (headings, *rows)]
    columns = "l" + "r" * (len(headings) - 1)
    return "\n".join(
        [
            f"\\begin{{tabular}}{{{columns}}}",
            "\\toprule",
            body[0],
            "\\midrule",
            *body[1:],
            "\\bottomrule",
            "\\end{tabular}",
        ]
    )


def macros(findings: Findings) -> str:
    r"""A LaTeX macro for each cell, so that prose cites the same values as the table.

    `\LiuGohCifarOneZeroMiniResNetAccuracy` is the accuracy of the row "Mini-ResNet" of the table
    liu_goh on cifar10.
    """
    table, lines, pairs = findings.table, findings.lines, findings.pairs
    names = [line["model"] for line in lines]
    pair_names = [f"{pair.first} against {pair.second}" for pair in pairs]
    cells = _named(names, choose(lines, table.publication.columns))
    cells += _named(pair_names, choose_of_pairs(pairs))
    macros = [
        f"\\newcommand{{\\{_letters(' '.join((*table.place.parts, name)))}}}{{{_escaped(text)}}}"
        for name, text in cells
        if text
    ]
    return "\n".join([f"% {table.heading}", *macros, ""])


def _named(rows: list[str], chosen: Chosen) -> list[tuple[str, str]]:
    """Each cell but the first column's, as what it is called and what it says."""
    return [
        (f"{row} {column.name}", texts[at])
        for at, row in enumerate(rows)
        for column, texts in chosen[1:]
    ]


def _letters(text: str) -> str:
    """A name of letters alone, which is all that TeX allows: numbers are spelled digit by digit."""
    spelled = re.sub(r"\d", lambda found: f" {DIGITS[int(found[0])]} ", text)
    words = re.findall(r"[A-Za-z]+", spelled)
    return "".join(word[0].upper() + word[1:] for word in words)


def _escaped(text: str) -> str:
    return re.sub(r"[&%$#_{}~^\\]", lambda found: LATEX[found[0]], text).replace("±", r"$\pm$")
