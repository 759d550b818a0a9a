"""What commands print that use a trained network."""

import sys
from typing import Any

from reslab.export.write import BOUND
from reslab.files import visible
from reslab.pictures.formats import FORMATS
from reslab.reports.report import Outcome
from reslab.terminal.console import print_table
from reslab.use import Exported


def print_outcome(outcome: Outcome) -> None:
    """The ranking of one picture, or the counts of many; what went wrong; where it all is."""
    counts = outcome.counts
    if sum(counts.values()) == 1 and outcome.answers:
        ((path, answer),) = outcome.answers
        rows = [
            (one["class"], f"{one['probability']:.2%}", _bar(one["probability"]))
            for one in answer.top
        ]
        print_table(f"{visible(path)}: {answer.answer}", ("Class", "Probability", ""), rows)
    else:
        print(", ".join(f"{count:,} {name}" for name, count in counts.items()))
    for note, count in outcome.notes.items():
        print(f"{note}: {count:,}")
    for path, problem in outcome.problems:
        print(f"{visible(path)}: {visible(problem)}", file=sys.stderr)
    if further := counts["failed"] - len(outcome.problems):
        print(f"and {further:,} more", file=sys.stderr)
    if outcome.repeated_ids:
        print(
            "submission.csv: files in several folders share a name, so that "
            f"{outcome.repeated_ids:,} rows repeat the ID of another",
            file=sys.stderr,
        )
    if outcome.metrics:
        predicted = counts.total() - counts["failed"]
        _print_metrics(outcome.metrics, of_labelled=outcome.metrics["images"] < predicted)
    for written in outcome.written:
        print(written)
    _print_truth(outcome)
    _print_found(outcome)


def print_exported(exported: Exported) -> None:
    """How near it came to the checkpoint, and where it is."""
    print(
        f"on {exported.compared} test images: the same answers, logits within "
        f"{exported.difference:.1e} of the largest ({BOUND:.0e} is allowed), and the same ranking "
        f"but for classes that are closer"
    )
    print(exported.path)
    print(exported.card)


def _print_truth(outcome: Outcome) -> None:
    """What of the truth was not used, and how else it was read than as it is written."""
    if outcome.labels is None:
        return
    for line in outcome.labels.said():
        print(visible(line), file=sys.stderr)
    if (without := outcome.labels.unlabelled).count:
        total = outcome.counts.total()
        print(f"{without.count:,} of {total:,} files have no label: {without}")


def _print_found(outcome: Outcome) -> None:
    """How many files there were, and what became of them; of one file that is said already."""
    failed, skipped = outcome.counts["failed"], outcome.skipped
    predicted = outcome.counts.total() - failed
    parts = {"predicted": predicted, "skipped": skipped.files, "failed": failed}
    if (total := sum(parts.values())) > 1:
        said = ", ".join(f"{count:,} {what}" for what, count in parts.items() if count)
        print(f"found {total:,} files: {said}")
    if skipped.kinds:
        print(f"skipped: {skipped}")
    if skipped.pictures:
        print(f"formats that are read: {', '.join(FORMATS)}")


def _print_metrics(metrics: dict[str, Any], of_labelled: bool) -> None:
    share = "{:.2%}".format
    rows = [
        (row["class"], *(share(row[key]) for key in ("precision", "recall", "f1")), row["support"])
        for row in [
            *metrics["per_class"],
            *({"class": f"{k} average", "support": ""} | metrics[k] for k in ("macro", "weighted")),
        ]
    ]
    headings = ("Class", "Precision", "Recall", "F1", "Images")
    print_table(None, headings, [[str(cell) for cell in row] for row in rows])
    top = [f"top-{k} {share(value)}" for k, value in metrics["top_k_accuracy"].items() if k != "1"]
    labelled = " labeled" if of_labelled else ""
    parts = [f"accuracy {share(metrics['accuracy'])} of {metrics['images']:,}{labelled}", *top]
    print(f"{', '.join(parts)}, ECE {metrics['ece']:.4f}")
    if metrics["accuracy_when_sure"] is not None:
        whose = " of the labeled" if of_labelled else ""
        print(
            f"at threshold {metrics['threshold']}: {share(metrics['coverage'])}{whose} answered, "
            f"{share(metrics['accuracy_when_sure'])} of them right"
        )
    pairs = [f"{p['truth']} as {p['predicted']} ({p['count']})" for p in metrics["confused_pairs"]]
    if pairs:
        print(f"most confused: {', '.join(pairs[:5])}")


def _bar(share: float) -> str:
    return ("\N{FULL BLOCK}" * round(20 * share)).ljust(20, "\N{LIGHT SHADE}")
