"""Opening the videos of a run, whose inputs may be several: each with what its own input allows."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from operators.contract import Media
from store.media import MediaOpener
from store.video_entry import check_uri


def input_root(input: str) -> str | None:
    """The folder that local videos must not leave: the input, when it is one."""
    return os.path.realpath(input) if "://" not in input and Path(input).is_dir() else None


class InputMedia:
    """Opens URIs as `operators.contract.Media`; picklable. `inputs` are those of a run.

    What lies in one of the input folders must not lead out of that folder; what lies elsewhere must have been
    named by a manifest, or be on S3. Raises what `MediaOpener` raises.
    """

    def __init__(self, inputs: Sequence[str]) -> None:
        roots = {input: input_root(input) for input in inputs}
        self._folders = [(root, MediaOpener(root)) for root in dict.fromkeys(roots.values()) if root is not None]
        self._elsewhere = MediaOpener(None) if None in roots.values() else self._folders[0][1]

    def __call__(self, uri: str) -> AbstractContextManager[Media]:
        return self._opener(uri)(uri)

    def _opener(self, uri: str) -> MediaOpener:
        try:
            place = check_uri(uri)
        except ValueError:
            return self._elsewhere
        for root, opener in self._folders:
            if os.path.normpath(place).startswith(f"{root.rstrip('/')}/"):
                return opener
        return self._elsewhere
