"""Networks from wheels answer the same questions as models do."""

from __future__ import annotations

from pathlib import Path

import pytest

from operators import networks
from operators.errors import ConfigurationError
from operators.models.files import check_files, files_revision, locate, pinned
from operators.models.wheel import wheel_files


def test_a_network_is_located_and_named():
    [face, text] = wheel_files("people", [networks.FACES_NEAR, networks.TEXT_DETECTOR])
    folder = locate(face)
    assert folder / "face_detection_short_range.tflite" == networks.path(networks.FACES_NEAR)
    assert face.held(folder).whole
    assert list(face.held(folder).sizes) == ["face_detection_short_range.tflite"]
    check_files(text)
    assert files_revision(face) == networks.FACES_NEAR.revision
    assert pinned(face) == face and face.source().pinned


def test_one_that_cannot_be_fetched_is_explained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("RUSHES_CACHE", str(tmp_path))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    [wanted] = wheel_files("text", [networks.TEXT_DETECTOR])
    assert wanted.source().held() is None
    check_files(wanted)  # it can be had, as far as anybody knows
    with pytest.raises(ConfigurationError, match=r"text: could not fetch rapidocr.*RUSHES_CACHE"):
        locate(wanted)
