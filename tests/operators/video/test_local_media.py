"""Files as media, without a pipeline."""

from __future__ import annotations

from pathlib import Path

import pytest

from operators.errors import ErrorKind, RowFailure
from operators.video.local_media import open_local


def test_a_file_is_opened_where_it_lies(tmp_path: Path):
    path = tmp_path / "film.mp4"
    path.write_bytes(b"12345")
    with open_local(str(path)) as media:
        assert (media.path, media.size, media.etag) == (path, 5, "")


def test_a_missing_file_is_a_failure_of_its_row(tmp_path: Path):
    with pytest.raises(RowFailure, match="check the path") as failure, open_local(str(tmp_path / "none.mp4")):
        pass
    assert failure.value.kind is ErrorKind.UNREADABLE
