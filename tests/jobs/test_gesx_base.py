"""The preset `base` of gesx from the command line to the committed rows: Whisper and a mesh regressor on a GPU."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import store
from operators.audio.sound import decode_flac
from operators.audio.waveform import SAMPLE_RATE
from store.objects import open_store
from store.verify import verify
from tests.tiny.regressor import write_onnx
from tests.tiny.whisper import write_reciting_whisper

for library in ("torch", "roma", "whisper", "onnx", "onnxruntime"):
    pytest.importorskip(library, reason=f"{library} is not installed (make install)")

SAMPLES = Path(__file__).parents[2] / "samples" / "videos"
SAID = "Some people look at the stars"
LENIENT = ("speakers.min_hands_share=0", "speaking.floor=-1", "gates.gesture=0", "gates.missing=10")
SECONDS = 420


@pytest.fixture(scope="module")
def output(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run over the astronaut, on a logical GPU, with a tiny network that no gate believes and none may drop."""
    folder = tmp_path_factory.mktemp("gesx")
    (folder / "videos").mkdir()
    shutil.copy(SAMPLES / "portrait.mp4", folder / "videos")
    network = write_onnx(folder / "marker.onnx")
    settings = (
        *LENIENT,
        f"speech.model={write_reciting_whisper(folder / 'whisper.pt', SAID)}",
        f"lift.model={network}",
        "lift.input_size=[64, 64]",
        "lift.mean=[0, 0, 0]",
        "lift.std=[1, 1, 1]",
        "gates.wrist_rotation=180",
        "gates.pose_change=180",
        "gates.facing=180",
        "gates.reprojection=10",
    )
    command = [sys.executable, "-m", "tests.jobs.on_logical_gpu", "gesx", "--preset", "base"]
    command += ["--input", str(folder / "videos"), "--output", str(folder / "out")]
    command += [word for setting in settings for word in ("--set", setting)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "out"


@pytest.fixture(scope="module")
def clip(output: Path) -> dict[str, Any]:
    """The one clip that is kept."""
    [row] = [row for table in store.open(str(output)).clips() for row in table.to_pylist()]
    return row


def test_everything_is_committed(output: Path) -> None:
    assert list(verify(open_store(str(output)))) == []


def test_the_regressor_s_poses_reach_storage_whole(clip: dict[str, Any]) -> None:
    frames = clip["frame_count"]
    assert frames == 180
    for name, width in (("raw_poses", 165), ("poses", 165), ("transl", 3), ("presence", 4), ("joint_mask", 55)):
        assert np.array(clip[name]).shape == (frames, width), name
    assert np.isfinite(np.array(clip["poses"])).all()
    assert np.abs(np.array(clip["poses"])).max() > 0.1
    authors = dict(clip["provenance"])
    assert authors["raw_poses"].startswith("lift/")
    assert "@" in authors["raw_poses"]


def test_whisper_s_words_lie_on_the_clip_s_clock(clip: dict[str, Any]) -> None:
    assert clip["transcript"] == SAID
    assert [word["word"].strip() for word in clip["words"]] == SAID.split()
    assert all(0 <= word["start"] <= word["end"] <= clip["clip_duration"] for word in clip["words"])
    assert len(decode_flac(clip["sound"])) == round(clip["clip_duration"] * SAMPLE_RATE)
