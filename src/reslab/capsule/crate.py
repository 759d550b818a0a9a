"""The RO-Crate metadata of a capsule, read: each file with its size and digest.

RO-Crate Metadata Specification 1.1, https://w3id.org/ro/crate/1.1.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from reslab.capsule.layout import METADATA
from reslab.content import parse
from reslab.errors import UserError

NEEDED = ("name", "description", "datePublished", "license")


def faults(folder: Path, digests: Mapping[str, str]) -> list[str]:
    """Where the metadata in a folder is not what the specification asks, or not of its files.

    Args:
        folder: The folder.
        digests: SHA-256 of each of its files, by its name, of which the metadata is one.

    Raises:
        UserError: There is none, or it is no RO-Crate's.
    """
    entities = _entities(folder / METADATA)
    root = entities.get("./", {})
    found = [f"{METADATA}: the root lacks {key}" for key in NEEDED if not root.get(key)]
    descriptor = entities.get(METADATA, {})
    if descriptor.get("about") != {"@id": "./"} or "conformsTo" not in descriptor:
        found.append(f"{METADATA}: it does not say what it is about, or by which specification")
    parts = root.get("hasPart")
    ids = [str(one["@id"]) for one in parts if "@id" in one] if isinstance(parts, list) else []
    listed = {unquote(one): entities.get(one, {}) for one in ids}
    files = digests.keys() - {METADATA}
    found += [
        f"{name} is in it, and {METADATA} does not list it"
        for name in sorted(files - listed.keys())
    ]
    found += [
        f"{name} is not in it, and {METADATA} lists it" for name in sorted(listed.keys() - files)
    ]
    for name in sorted(files & listed.keys()):
        found += _differences(name, listed[name], (folder / name).stat().st_size, digests[name])
    return found


def _differences(name: str, entity: dict[str, Any], size: int, digest: str) -> Iterator[str]:
    if entity.get("@type") != "File":
        yield f"{METADATA}: {name} is not said to be a File"
    if str(entity.get("contentSize")) != str(size):
        yield f"{name} has {size} bytes, not the {entity.get('contentSize')} that {METADATA} says"
    elif entity.get("sha256") != digest:
        yield f"{name} is not the file of which {METADATA} has the digest"


def _entities(path: Path) -> dict[str, dict[str, Any]]:
    """What the metadata describes, by its `@id`."""
    try:
        graph = parse(path.read_bytes())["@graph"]
        entities = {one["@id"]: dict(one) for one in graph}
    except FileNotFoundError as error:
        raise UserError(f"{METADATA} is missing: it is no capsule") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{METADATA} is damaged or foreign ({error})") from error
    if len(entities) < len(graph):
        raise UserError(f"{METADATA} describes something twice")
    return entities
