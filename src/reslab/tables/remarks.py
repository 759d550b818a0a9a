"""What a reader must know to read a table rightly."""

from reslab.evaluation import ECE_BINS
from reslab.runs.older import Trial
from reslab.runs.record import Record
from reslab.runs.sources import code_digest
from reslab.tables.collect import Result
from reslab.tables.plan import Table
from reslab.tables.stats import BOOTSTRAP_SEEDS, Comparison
from reslab.tables.summaries import Line


def remarks(
    table: Table, lines: list[Line], pairs: list[Comparison], results: list[Result]
) -> list[str]:
    """What a reader must know to read the table rightly."""
    machines = " / ".join(sorted({line["hardware"] for line in lines if line["hardware"]}))
    minutes = f"Minutes: mean a run, on {machines or 'no hardware yet'}"
    timed = ("published_minutes", "published_images_per_second")
    if any(line[key] is not None for line in lines for key in timed):
        minutes += (
            f"; the published ones on {table.publication.hardware or 'hardware that is not named'}"
        )
    notes = [
        f"Accuracy: mean ± sample standard deviation over n seeds, of the best epoch on "
        f"validation; last, and train: of the last epoch; 95 %: the mean's interval by Student's "
        f"t; ECE: expected calibration error, {ECE_BINS} bins. {minutes}."
    ]
    if pairs:
        notes.append(remark_on(pairs))
    if not all(line["alone"] and line["inference_alone"] for line in lines):
        notes.append("* Time taken beside other work on the same machine.")
    if table.dataset != table.published_dataset:
        notes.append(
            f"The published figures are for {table.published_dataset}; ours are for "
            f"{table.dataset}, another data set: the difference says nothing of how well the "
            f"paper is reproduced."
        )
    if any(isinstance(row.published.get("accuracy"), list) for row in table.publication.rows):
        notes.append("Where the paper gives a range, the difference is from its nearer end.")
    if table.changes:
        notes.append(f"Differs from the recipes in: {' '.join(table.changes)}.")
    runs = [result.run for result in results if result.run]
    notes += remarks_on_older_code([run.record for run in runs])
    if inexact := sum(not run.record.provenance.exact for run in runs):
        notes.append(f"{inexact} of {len(runs)} runs were resumed in another environment.")
    if other := [run.cell for run in runs if run.record.identity != run.cell.identity]:
        names = ", ".join(f"{cell.row.name}, seed {cell.seed}" for cell in other)
        notes.append(f"Of another configuration than the recipe's: {names}.")
    if table.dataset == table.published_dataset:
        notes += table.publication.notes
    lacking: dict[tuple[str, str], list[str]] = {}
    for result in results:
        if not result.run:
            said = f"{result.state}: {result.reason}" if result.reason else result.state
            lacking.setdefault((result.cell.row.name, said), []).append(str(result.cell.seed))
    for (name, said), seeds in lacking.items():
        notes.append(f"{name}, seed{'s' * (len(seeds) > 1)} {', '.join(seeds)}: {said}")
    return notes


def remarks_on_older_code(records: list[Record]) -> list[str]:
    """How many records are of older code, and what is known of whether that computes the same."""
    older = {record.provenance.code_digest for record in records} - {code_digest()}
    trials = {digest: Trial.of(digest) for digest in older}
    unknown = 0
    same: dict[Trial, int] = {}
    for record in records:
        trial = trials.get(record.provenance.code_digest)
        if trial and record.recipe in trial.recipes:
            same[trial] = same.get(trial, 0) + 1
        else:
            unknown += record.provenance.code_digest in older
    said = [
        f"{number} of {len(records)} runs were trained by older code. On {trial.date} it and "
        f"today's trained their recipes to the same bits, cut to {trial.cut_to}, on "
        f"{trial.hardware}; other hardware and precisions were not compared."
        for trial, number in same.items()
    ]
    if unknown:
        said.append(
            f"{unknown} of {len(records)} runs were trained by older code; whether it computes "
            "something else is not known."
        )
    return said


def remark_on(pairs: list[Comparison]) -> str:
    """What the columns of comparisons mean, and what their intervals leave out."""
    seeds = [len(pair.seeds) for pair in pairs]
    said = [
        "Differences: mean ± sample standard deviation over shared seeds",
        "95 %, images: of these very networks on other test images (normal approximation)",
    ]
    if max(seeds) > 1:
        said.append("95 %, seeds: of networks of other seeds on these images (paired Student's t)")
    if max(seeds) >= BOOTSTRAP_SEEDS:
        said.append("95 %, both: of other seeds on other images (bootstrap)")
    said += [
        "only 1st, only 2nd: images that one of the two alone has right, seed by seed",
        "p: McNemar's exact test, the seeds' largest, after Holm's correction for the pairs",
    ]
    caution = ""
    if min(seeds) == 1:
        caution = " One seed says nothing of other seeds: its interval is over images alone."
    elif min(seeds) < BOOTSTRAP_SEEDS:
        caution = (
            f" With fewer than {BOOTSTRAP_SEEDS} seeds little is known of how seeds differ: the "
            "interval over seeds is wide and leans on a normal distribution, the one over images "
            "leaves other seeds out, and none covers both."
        )
    return f"{'; '.join(said)}.{caution}"
