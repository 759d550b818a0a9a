"""The RO-Crate metadata of a capsule, as its package writes it.

RO-Crate Metadata Specification 1.1, https://w3id.org/ro/crate/1.1.
"""

import hashlib
import json
from collections.abc import Mapping
from datetime import date
from pathlib import Path

from rocrate.model.contextentity import ContextEntity
from rocrate.rocrate import ROCrate

LICENSES = "https://spdx.org/licenses/"
SHA256 = "https://schema.org/sha256"  # which the specification's own terms do not have
TYPES = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".json": "application/json",
    ".md": "text/markdown",
    ".npz": "application/zip",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".tex": "application/x-tex",
    ".whl": "application/zip",
    ".yaml": "application/yaml",
}
PLAIN = "text/plain"


def describe(
    files: Mapping[str, bytes], title: str, description: str, published: date, license: str
) -> bytes:
    """The metadata of files.

    Args:
        files: Each file's content, by its name.
        title: What the capsule is called.
        description: What it is.
        published: The day of what is newest in it.
        license: The license's SPDX identifier.
    """
    crate = ROCrate(version="1.1")
    crate.name, crate.description = title, description
    crate.datePublished = published.isoformat()
    about_license = {
        "@type": "CreativeWork",
        "name": license,
        "description": f"The {license} license",
    }
    crate.license = crate.add(ContextEntity(crate, LICENSES + license, about_license))
    crate.metadata.extra_terms["sha256"] = SHA256
    for name in sorted(files):
        properties = {
            "name": name,
            "contentSize": str(len(files[name])),
            "encodingFormat": TYPES.get(Path(name).suffix, PLAIN),
            "sha256": hashlib.sha256(files[name]).hexdigest(),
        }
        crate.add_file(dest_path=name, properties=properties)  # which it quotes
    content = crate.metadata.generate()
    return (json.dumps(content, indent=2, sort_keys=True, ensure_ascii=False) + "\n").encode()
