"""Draws the studio in outputs/screenshots, and of that what docs/pictures shows.

Of the runs whose records the repository keeps, of a network and a search on the digits,
and of one that trains meanwhile; with a real server and Debian's chromium.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from omegaconf import OmegaConf

from browser import visited
from conftest import REPOSITORY
from measure_studio import studio
from reslab.runs.identity import run_name
from reslab.runs.resolvers import register_resolvers

RESLAB = (sys.executable, "-m", "reslab")
DIGITS = ("dataset=digits", "model=mini_resnet", "trainer.enable_progress_bar=false")
SEARCHED = (
    *("dataset=digits", "model=baseline_cnn", "trainer.max_epochs=4"),
    *("optimizer.lr=log(1e-4,1)", "model.dropout=uniform(0,0.5)", "label_smoothing=0.0,0.1"),
    *("search.trials=16", "search.name=lr"),
)
SIZES = {"": (1280, 800), "-phone": (390, 844)}
SCHEMES = {"": "light", "-dark": "dark"}
SHOWN = ("watch", "tables-dark", "train", "searches", "use")
STILL = """() => !/being loaded|Composing|Reading|takes some/.test(document.body.innerText)"""
DIGIT = [(60, 60), (140, 40), (210, 80), (200, 130), (130, 145), (210, 165), (205, 225), (70, 235)]


def kept_runs(runs: Path) -> dict[str, list[str]]:
    """The kept records as runs of a folder, and their names by row of Liu & Goh's table."""
    register_resolvers()
    rows: dict[str, list[str]] = {}
    for folder in sorted(REPOSITORY.glob("outputs/reference/*/*/runs/*")):
        target = runs / run_name(OmegaConf.load(folder / "config.yaml"))
        if "digits" in folder.parts or target.exists():
            continue
        shutil.copytree(folder, target)
        if folder.parts[-4] == "liu_goh":
            rows.setdefault(folder.name.rpartition("-s")[0], []).append(target.name)
    return rows


def main(pictures: Path) -> None:
    pictures.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        runs = Path(folder) / "outputs/runs"
        rows = kept_runs(runs)
        before = set(runs.iterdir())
        train = (*RESLAB, "train", *DIGITS, f"runs_dir={runs}")
        subprocess.run([*train, "trainer.max_epochs=12"], check=True)
        (network,) = set(runs.iterdir()) - before
        subprocess.run([*RESLAB, "search", *SEARCHED], cwd=folder, check=True)
        live = subprocess.Popen([*train, "trainer.max_epochs=400", "seed=1"])
        try:
            draw(pictures, runs, rows, network.name)
        finally:
            live.terminate()
            live.wait()


def draw(pictures: Path, runs: Path, rows: dict[str, list[str]], network: str) -> None:
    liu_goh = "&".join(f"run={name}" for names in rows.values() for name in names)
    pair = "&".join(f"run={n}" for row in ("skip", "no-skip") for n in rows[f"resnet-18-{row}"])
    views = {
        "runs": "runs",
        "watch": f"watch?{liu_goh}",
        "train": "train?recipe=liu_goh/mini_resnet&dataset=digits",
        "compare": f"compare?{pair}",
        "tables": "tables?table=liu_goh",
        "searches": "searches?search=lr",
        "use": f"use?run={network}",
    }
    data = ("--data-dir", os.environ.get("RESLAB_DATA", str(REPOSITORY / "data")))
    with studio(runs, *data) as (_, address):
        for name, view in views.items():
            for size, (width, height) in SIZES.items():
                for theme, scheme in SCHEMES.items():
                    shown = {"width": width, "height": height, "color_scheme": scheme}
                    with visited(f"{address}#{view}", **shown) as page:
                        page.wait_for_timeout(3000)
                        page.wait_for_function(STILL, timeout=60_000)
                        page.wait_for_timeout(1000)
                        if name == "use":
                            draw_a_digit(page)
                        page.screenshot(path=pictures / f"{name}{size}{theme}.png")
                        assert page.problems == [], page.problems


def draw_a_digit(page) -> None:
    box = page.locator("canvas").first.bounding_box()
    for at, (x, y) in enumerate(DIGIT):
        page.mouse.move(box["x"] + x * box["width"] / 280, box["y"] + y * box["height"] / 280)
        if at == 0:
            page.mouse.down()
    page.mouse.up()
    page.wait_for_selector(".answers img", timeout=60_000)


if __name__ == "__main__":
    main(REPOSITORY / "outputs/screenshots")
    (REPOSITORY / "docs/pictures").mkdir(exist_ok=True)
    for name in SHOWN:
        picture = REPOSITORY / "outputs/screenshots" / f"{name}.png"
        shutil.copy(picture, REPOSITORY / "docs/pictures" / picture.name)
