"""The jobs that there are, for commands that look at the runs and models of any of them."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

from operators.errors import ConfigurationError

if TYPE_CHECKING:
    from jobs.command import Job

JOBS = {"mmtrail": "MMTRAIL", "gesx": "GESX"}
"""Module of `jobs` → name of the `Job` in it."""


def job_named(name: str) -> Job:
    """The job of this name. Raises `ConfigurationError` naming those that there are."""
    if name not in JOBS:
        raise ConfigurationError(f"there is no job {name!r}; there are {', '.join(JOBS)}")
    return getattr(import_module(f"jobs.{name}"), JOBS[name])
