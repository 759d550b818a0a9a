"""What a run's configuration may have worked out."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from reslab.errors import UserError
from reslab.runs.extension import settled
from reslab.runs.identity import run_name


def register_resolvers() -> None:
    """Makes `${run_name:}` and `${folder:ROOT,KEY}` available to configurations."""
    OmegaConf.register_new_resolver(
        "run_name", lambda *, _root_: run_name(settled(_root_)), replace=True, use_cache=False
    )
    # What lies in a folder is looked up once for a configuration, which is then of that.
    OmegaConf.register_new_resolver("folder", _of_folder, replace=True, use_cache=True)


def _of_folder(root: str | None, key: str) -> Any:
    """What a folder of pictures has: its name, channels, num_classes or content."""
    from reslab.pictures.folder import look_at_folder  # with torch, for which others do not wait

    if root is None:
        raise UserError("dataset=folder needs dataset.root=DIR, a folder with a folder a class")
    return getattr(look_at_folder(Path(root)), key)
