"""The splitting benchmark prints the figures it promises, on a small film."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from benchmarks import split


def film(path: Path) -> Path:
    rng = np.random.default_rng(4)
    stills = [cv2.resize(rng.integers(0, 255, (6, 8, 3), np.uint8), (320, 180)) for _ in range(3)]
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", 25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for still in stills:
            for _ in range(20):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(still.astype(np.uint8), format="bgr24")))
        container.mux(stream.encode())
    return path


def test_json_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["split", "--video", str(film(tmp_path / "film.mp4")), "--json"])
    split.main()
    figures = json.loads(capsys.readouterr().out)
    assert figures["rounds"] == 5 and figures["frames"] == 60 and figures["clips"] == 3
    assert figures["cuts"]["pass"] == figures["cuts"]["pyscenedetect"] == [20, 40]
    assert set(figures["cpu_seconds"]) == {"decode", "pass", "pyscenedetect"}
    assert figures["ratio"]["pass"] > 0.5 and 50 < figures["peak_mb"] < 600
    assert 0 < figures["clip_mb_mean"] <= figures["clip_mb_largest"] < 1


def test_a_long_video_is_repeated_without_encoding(tmp_path: Path) -> None:
    path = split.make_long(tmp_path, 1 / 30, 160, 96)
    figures = split.isolated(path)
    assert figures["error"] is None
    assert figures["video_seconds"] == pytest.approx(120, abs=0.1) and figures["frames"] == 2 * 60 * 24


def test_too_few_rounds_are_refused(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "argv", ["split", "--video", "x.mp4", "--rounds", "3"])
    with pytest.raises(SystemExit) as caught:
        split.main()
    assert caught.value.code == 2 and "at least 5" in capsys.readouterr().err
