"""Thousands of pictures: in the memory of a few, as right as the test set."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from processes import run
from reslab.pictures.find import Found
from reslab.predicting.load import data_of, load
from reslab.predicting.predict import predict_files
from training import SMALL, only_run


def test_memory_does_not_grow_with_the_number_of_files(trained):
    """What is decoded ahead of the consumer is a few batches, however many files there are."""
    model = load("digits", trained / "outputs/runs", device="cpu", batch_size=8)
    taken = 0
    picture = next((trained / "pictures/3").glob("*.png"))

    def endless():
        nonlocal taken
        while True:
            taken += 1
            yield Found(picture)

    stream = predict_files(model, endless(), 8)
    for _ in range(100):
        assert next(stream).probabilities.shape == (10,)
    stream.close()
    assert taken <= 100 + 8 + 16 * ((os.cpu_count() or 1) + 3)


MEMORY = """
import resource, sys
from pathlib import Path
from reslab.cli import main
sys.argv = ["reslab", "predict", *sys.argv[1:]]
try:
    main()
finally:
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


@pytest.mark.long
def test_ten_thousand_real_pictures_are_predicted_as_the_test_set(tmp_path, data_dir):
    """MNIST's test set as PNG: the same images right; the page is small; memory stays flat."""
    short = ("+trainer.limit_train_batches=60", "trainer.max_epochs=1", f"data_dir={data_dir}")
    finished = run(
        tmp_path, "train", "dataset=mnist", *SMALL, "dataset.size=32", "logger=none", *short
    )
    assert finished.code == 0, finished.err
    data = data_of(load(only_run(tmp_path)), None)
    raw = data.source.load(Path(data_dir))  # 28 x 28: to be resized as in training
    for at, (image, label) in enumerate(zip(raw.test_images, raw.test_labels.tolist())):
        path = tmp_path / f"pictures/{label}/{at:05}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image[0].numpy()).save(path, compress_level=1)
    evaluated = run(tmp_path, "evaluate", "mnist", "--output", "evaluation")
    assert evaluated.code == 0, evaluated.err
    peaks = []
    for paths in (["pictures/1"], ["pictures"]):
        command = [
            sys.executable,
            "-c",
            MEMORY,
            "mnist",
            *paths,
            "--labels",
            "folders",
            "--output",
            "out",
        ]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        peaks.append(int(done.stdout.split()[-1]) / 1024)
    folders = (tmp_path / "evaluation" / only_run(tmp_path).name, tmp_path / "out")
    theirs, ours = (
        json.loads((folder / "predictions.json").read_text())["metrics"] for folder in folders
    )
    assert ours["images"] == theirs["images"] == 10_000
    assert ours["accuracy"] == theirs["accuracy"]
    assert ours["confusion"] == theirs["confusion"]
    assert 0.5 < ours["accuracy"] < 1
    assert (tmp_path / "out/dashboard.html").stat().st_size < 25e6
    assert peaks[1] - peaks[0] < 60  # of 1,135 and 10,000 files; the page holds the pictures
