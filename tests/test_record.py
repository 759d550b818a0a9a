"""The record as a type: read from any version's file, and what a foreign or damaged file lacks."""

import json

import pytest

from conftest import REPOSITORY
from reslab.errors import UserError
from reslab.runs.record import Extension, Record, read_record, write_record

COMMITTED = sorted((REPOSITORY / "outputs/reference").glob("*/*/runs/*/metrics.json"))
NOT_IN_OLDER = (
    *("device", "cores", "inference_others_cpu", "dataset", "model", "join", "rerun", "extends"),
    *("choices", "world_size", "batch_norm", "cpu_capability"),
)


@pytest.fixture
def content():
    return json.loads(COMMITTED[0].read_text())


@pytest.mark.parametrize("path", COMMITTED, ids=lambda path: path.parent.name)
def test_a_record_of_an_older_version_says_what_it_said(path):
    content, record = json.loads(path.read_text()), read_record(path)
    assert record.test_accuracy == content["test/accuracy"]
    assert record.provenance.versions == content["versions"]
    assert record.provenance.device == ("cuda" if "NVIDIA" in content["hardware"] else "cpu")
    ours = record.as_json()
    assert {key: ours[key] for key in content} == content
    assert set(ours) - set(content) <= set(NOT_IN_OLDER)


def test_a_gpu_is_told_from_a_processor_in_an_older_record(content):
    content.pop("device", None)
    content["hardware"] = "AMD EPYC, 2 cores"
    assert Record.from_json(content).provenance.device == "cpu"
    content["hardware"] = "NVIDIA H100 80GB HBM3"
    assert Record.from_json(content).provenance.device == "cuda"


def test_what_is_written_is_read(content, tmp_path):
    extends = {"run": "a", "identity": "b", "epoch": 2, "step": 38, "exact": False, "reason": "c"}
    changes = {"join": "AddJoin", "device": "mps", "rerun": 2, "extends": extends}
    record = Record.from_json(content | changes)
    write_record(record, tmp_path / "metrics.json")
    assert read_record(tmp_path / "metrics.json") == record
    assert (record.join, record.provenance.device, record.rerun) == ("AddJoin", "mps", 2)
    assert record.extends == Extension(**extends)


def test_where_there_is_no_file_there_is_no_record(tmp_path):
    assert read_record(tmp_path / "metrics.json") is None


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"test/accuracy": None}, "test/accuracy is None"),
        ({"test/accuracy": "0.9"}, "test/accuracy is '0.9'"),
        ({"epochs": 3.5}, "epochs is 3.5"),
        ({"epochs": True}, "epochs is True"),
        ({"exact": "yes"}, "exact is 'yes'"),
        ({"overrides": "seed=0"}, "overrides is 'seed=0'"),
        ({"versions": []}, "versions is []"),
        ({"extends": []}, "extends is []"),
        ({"extends": {"run": "a"}}, "identity is missing, epoch is missing"),
    ],
)
def test_a_field_of_another_type_is_named(content, change, named, tmp_path):
    path = tmp_path / "metrics.json"
    path.write_text(json.dumps(content | change))
    with pytest.raises(UserError, match="rerun=true makes it anew") as raised:
        read_record(path)
    assert str(path) in str(raised.value)
    assert named in str(raised.value)


@pytest.mark.parametrize("key", ["identity", "test/accuracy", "hardware", "seed"])
def test_a_missing_field_is_named_and_no_other(content, key, tmp_path):
    path = tmp_path / "metrics.json"
    del content[key]
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=f"run: {key} is missing; rerun"):
        read_record(path)


@pytest.mark.parametrize("text", ["", "{", '{"identity": "a', "[]", "3", "\x00\x01", "\udcff"])
def test_a_damaged_or_foreign_file_is_said_to_be_one(text, tmp_path):
    path = tmp_path / "metrics.json"
    path.write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(UserError, match=f"{path} is (damaged|no record)"):
        read_record(path)
