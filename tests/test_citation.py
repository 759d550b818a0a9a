"""How reslab is cited: of the form that CFF 1.2.0 has, and what the package says of itself."""

import tomllib

import jsonschema
import yaml

from conftest import REPOSITORY
from reslab.config import list_options

TEXT = (REPOSITORY / "CITATION.cff").read_text()
CONTENT = yaml.safe_load(TEXT)
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]

# What CFF 1.2.0 asks of the keys that the file has; it knows more.
LINE = {"type": "string", "pattern": r"\S", "not": {"pattern": "\n"}}
PERSON = {
    "type": "object",
    "required": ["family-names", "given-names"],
    "additionalProperties": False,
    "properties": {"family-names": LINE, "given-names": LINE},
}
ENTITY = {
    "type": "object",
    "required": ["name"],
    "additionalProperties": False,
    "properties": {"name": LINE},
}
AUTHORS = {
    "type": "array",
    "minItems": 1,
    "uniqueItems": True,
    "items": {"anyOf": [PERSON, ENTITY]},
}
REFERENCE = {
    "type": "object",
    "required": ["type", "title", "authors"],
    "additionalProperties": False,
    "properties": {
        "type": {"enum": ["article", "conference-paper", "report", "website"]},
        "title": LINE,
        "authors": AUTHORS,
        "year": {"type": "integer"},
        "collection-title": LINE,
        "conference": ENTITY,
        "institution": ENTITY,
        "start": {"type": "integer"},
        "end": {"type": "integer"},
        "notes": LINE,
    },
}
SCHEMA = {
    "type": "object",
    "required": ["cff-version", "message", "title", "authors"],
    "additionalProperties": False,
    "properties": {
        "cff-version": {"const": "1.2.0"},
        "message": LINE,
        "type": {"enum": ["software", "dataset"]},
        "title": LINE,
        "abstract": LINE,
        "version": LINE,
        "license": LINE,
        "authors": AUTHORS,
        "keywords": {"type": "array", "minItems": 1, "uniqueItems": True, "items": LINE},
        "references": {"type": "array", "minItems": 1, "uniqueItems": True, "items": REFERENCE},
    },
}


def test_it_has_the_keys_and_types_of_the_format():
    jsonschema.validate(CONTENT, SCHEMA)


def test_it_says_what_the_package_and_its_license_say():
    assert CONTENT["title"] == PROJECT["name"]
    assert CONTENT["version"] == PROJECT["version"]
    assert CONTENT["license"] == PROJECT["license"]
    assert CONTENT["abstract"] == PROJECT["description"]
    terms = (REPOSITORY / "LICENSE").read_text()
    assert terms.startswith(f"{CONTENT['license']} License")
    assert f"Copyright (c) 2026 {CONTENT['authors'][0]['name']}\n" in terms


def test_each_table_s_work_is_among_the_references():
    """Which table a reference is of stands beside it."""
    for name in list_options("table"):
        assert TEXT.count(f"conf/table/{name}.yaml") == 1, name
