"""What a run was asked and by which process it was begun, on disk from its start."""

import getpass
import json
import os
import shlex
import socket
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Self

import psutil

from reslab.content import build, parse
from reslab.errors import UserError
from reslab.files import write_atomically
from reslab.locks import is_alive

# What a user's own modules are allowed by and found by, and on which the bits of sums depend.
TARGETS = "RESLAB_TARGETS"
OWN_CODE = (TARGETS, "PYTHONPATH")
THREADS = "OMP_NUM_THREADS"
VARIABLES = (*OWN_CODE, THREADS)


@dataclass(frozen=True)
class Request:
    """All that it takes to stop a run, or to go on with it from anywhere.

    Attributes:
        overrides: What the user asked of Hydra.
        recipe: The recipe that was chosen, None for none.
        command: The command line, for people.
        folder: Where it was given.
        config_dirs: The user's own folders with configurations.
        variables: The environment variables that matter.
        host: The machine's name.
        user: Who began it.
        pid: The process.
        process_started: When that process began, seconds since 1970: a pid is used again.
        begun: When the run began or last went on, ISO 8601.
    """

    overrides: tuple[str, ...]
    recipe: str | None
    command: tuple[str, ...]
    folder: str
    config_dirs: tuple[str, ...]
    variables: dict[str, str]
    host: str
    user: str
    pid: int
    process_started: float
    begun: str

    @classmethod
    def here(
        cls, overrides: Sequence[str], recipe: str | None, config_dirs: Sequence[str] = ()
    ) -> Self:
        """A run of this process."""
        return cls(
            overrides=tuple(overrides),
            recipe=recipe,
            command=tuple(sys.argv),
            folder=os.getcwd(),
            config_dirs=tuple(config_dirs),
            variables={name: os.environ[name] for name in VARIABLES if name in os.environ},
            host=socket.gethostname(),
            user=_user(),
            pid=os.getpid(),
            process_started=psutil.Process().create_time(),
            begun=time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        )

    def with_override(self, key: str, value: str) -> Self:
        """The same with a value chosen that was left to what is there."""
        others = (text for text in self.overrides if text.lstrip("+").partition("=")[0] != key)
        return replace(self, overrides=(*others, f"{key}={value}"))

    @property
    def threads(self) -> str | None:
        """What its variable said of how many, None for nothing.

        No other one is taken from the file, which may be a stranger's: some would have code run.
        """
        return self.variables.get(THREADS)

    def asked_of(self, environment: Mapping[str, str]) -> str:
        """What is lacking of the variables that have its user's own code run, as one types it."""
        given = {name: self.variables.get(name) for name in OWN_CODE}
        if not given[TARGETS] or all(environment.get(name) == given[name] for name in given):
            return ""
        return " ".join(f"{name}={shlex.quote(value or '')}" for name, value in given.items())

    @property
    def is_alive(self) -> bool:
        """Whether its process is on this machine and lives."""
        return is_alive(self.pid, self.process_started, self.host)

    def write(self, path: Path) -> None:
        """Writes it as JSON."""
        write_atomically(path, (json.dumps(asdict(self), indent=2) + "\n").encode())

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """Reads it, None where there is no file: the run is of an older version.

        Raises:
            UserError: The file is foreign or damaged.
        """
        try:
            content = parse(path.read_bytes())
        except FileNotFoundError:
            return None
        except (ValueError, OSError) as error:
            raise UserError(f"{path} is damaged: {error}") from error
        try:
            request: Self = build(cls, content)
        except ValueError as error:
            raise UserError(f"{path} is not a request of reslab's: {error}") from error
        return request


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a number without a name, as in a container
        return str(os.getuid())
