"""Model cards: their code runs, and their figures are the record's."""

import json
import math
import re
import subprocess
import sys
import venv
from dataclasses import replace

import pytest
import yaml
from PIL import Image

from conftest import REPOSITORY
from processes import run
from reslab.export.front_matter import front_matter
from reslab.predicting.load import data_of, load


@pytest.mark.long
def test_an_onnx_file_predicts_without_torch_as_its_card_says(trained, tmp_path):
    """The card's own code, in an environment that holds onnxruntime, numpy and Pillow alone."""
    done = run(trained, "export", "digits", "--output", str(tmp_path))
    assert done.code == 0, done.err
    (card,) = tmp_path.glob("*/model.*.md")
    text = card.read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    classifier = load("digits", trained / "outputs/runs")
    data = data_of(classifier, None)
    for at, image in enumerate(data.test_images[:2]):
        Image.fromarray(image[0].numpy()).save(card.parent / f"{at}.png")
    venv.create(tmp_path / "clean")
    python = tmp_path / "clean/bin/python"
    pinned = (REPOSITORY / "constraints.txt").read_text()
    versions = tmp_path / "versions.txt"  # who installs three packages gives no digest of each
    versions.write_text(re.sub(r" \\\n +--hash=\S+", "", pinned))
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "-q", "-c", versions]
    installed = subprocess.run(
        [*pip, "onnxruntime", "numpy", "pillow"], capture_output=True, text=True
    )
    assert installed.returncode == 0, installed.stderr
    assert subprocess.run([python, "-c", "import torch"], capture_output=True).returncode != 0
    for at, logits in enumerate(classifier(data.test_images[:2])):
        answer = subprocess.run(
            [python, "-c", code, f"{at}.png"], cwd=card.parent, capture_output=True, text=True
        )
        assert answer.returncode == 0, answer.stderr
        name, probability = answer.stdout.split()
        assert name == classifier.class_names[logits.argmax()]
        assert float(probability) == pytest.approx(logits.softmax(0).max().item(), abs=1e-3)


IN_TURN = """
import json, os, sys
for folder, code in json.loads(sys.argv.pop(1)):
    os.chdir(folder)
    exec(code, {"__name__": "__main__"})
"""


@pytest.mark.long
def test_the_code_of_a_card_predicts_a_picture_of_any_size(trained, tmp_path):
    """One process runs the code of several, each as if alone."""
    exports = [
        ("--format", "torch"),
        ("--format", "torch", "--pixels"),
        ("--format", "safetensors"),
    ]
    data = data_of(load("digits", trained / "outputs/runs"), None)
    picture = Image.fromarray(data.test_images[0][0].numpy()).resize((50, 40)).convert("RGB")
    cards, codes = [], []
    for number, asked in enumerate(exports):
        done = run(trained, "export", "digits", *asked, "--output", str(tmp_path / str(number)))
        assert done.code == 0, done.err
        (card,) = (tmp_path / str(number)).glob("*/model.*.md")
        (code,) = re.findall(r"```python\n(.*?)```", card.read_text(), re.DOTALL)
        picture.save(card.parent / "a.png")
        cards.append(card)
        codes.append((str(card.parent), code))
    asked = [sys.executable, "-c", IN_TURN, json.dumps(codes), "a.png"]
    answer = subprocess.run(asked, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    for card, line in zip(cards, answer.stdout.splitlines(), strict=True):
        name, probability = line.split()
        export = str(card.with_suffix(""))
        said = run(trained, "predict", export, str(card.parent / "a.png"), "--output", "out")
        assert said.code == 0, said.err
        (row,) = json.loads((trained / "out/predictions.json").read_text())["images"]
        assert row["top"][0]["class"] == name, card
        assert row["top"][0]["probability"] == pytest.approx(float(probability), abs=0.02), card


def test_the_card_s_figures_are_the_record_s(trained, tmp_path):
    done = run(
        trained, "export", "baseline_cnn", "--format", "safetensors", "--output", str(tmp_path)
    )
    assert done.code == 0, done.err
    (card,) = tmp_path.glob("*/model.*.md")
    text, record = card.read_text(), load("baseline_cnn", trained / "outputs/runs").record
    assert f"Test accuracy: {record.test_accuracy:.2%} of 360 images" in text
    assert f"Parameters: {record.parameters:,}" in text
    assert record.provenance.data_digest in text
    assert sys.version.split()[0] in text
    matter = parsed(text)
    assert matter["tags"] == ["safetensors", "baseline_cnn"]
    assert matter["library_name"] == "reslab"
    assert matter["pipeline_tag"] == "image-classification"
    ((result,),) = [model["results"] for model in matter["model-index"]]
    assert result["dataset"] == {"name": "digits", "type": "digits", "split": "test"}
    assert {metric["type"]: metric["value"] for metric in result["metrics"]} == {
        "accuracy": record.test_accuracy,
        "loss": record.test_loss,
    }


def parsed(card):
    """The front matter, found as hubs find it: between two rulers, the first in the first line."""
    return yaml.safe_load(re.match(r"---\n(.*?)\n---(?:\n|$)", card, re.DOTALL)[1])


@pytest.mark.parametrize(
    "name", ["a: \"b\" 'c'", "--- x", "yes", "1.5", "# no", "{a: 1}", "é €", "a b " * 50 + "c"]
)
def test_the_front_matter_of_a_card_is_yaml_whatever_a_run_is_called(trained, name):
    about = load("baseline_cnn", trained / "outputs/runs").description
    matter = parsed(front_matter(replace(about, name=name, dataset=name), ".onnx"))
    (model,) = matter["model-index"]
    (result,) = model["results"]
    assert (model["name"], result["dataset"]["name"]) == (name, name)
    assert "datasets" not in matter


def test_the_front_matter_claims_nothing_that_is_not_known(trained):
    """No license, no verification, no result before the end, and none that is no number."""
    about = load("baseline_cnn", trained / "outputs/runs").description
    matter = parsed(front_matter(replace(about, dataset="cifar10"), ".pt2"))
    assert matter["license"] == "unknown"
    assert matter["datasets"] == ["cifar10"]
    (result,) = matter["model-index"][0]["results"]
    assert [metric["verified"] for metric in result["metrics"]] == [False, False]
    astray = replace(about, record=replace(about.record, test_loss=math.nan))
    (result,) = parsed(front_matter(astray, ".pt2"))["model-index"][0]["results"]
    assert [metric["type"] for metric in result["metrics"]] == ["accuracy"]
    assert "model-index" not in parsed(front_matter(replace(about, record=None), ".pt2"))
