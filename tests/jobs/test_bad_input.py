"""Bad input of every kind beside good videos, in one real run: each is accounted for, with kind and remedy."""

from __future__ import annotations

import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

import store
from jobs import status, verify

GOOD = [
    "plain.mp4",
    "silent.mp4",
    "with spaces.mp4",
    'it\'s "quoted".mp4',
    "Ünï↯.mp4",
    "..%2F..%2Fup.mp4",
    "-rf $(x).mp4",
]


def mmtrail(folder: Path, output: str) -> subprocess.CompletedProcess[str]:
    argv = ["--input", str(folder), "--output", output, "--partition-size", "8", "--cpus", "2"]
    return subprocess.run(
        [sys.executable, "-m", "jobs.mmtrail", *argv], capture_output=True, text=True, timeout=500, check=False
    )


def write_video(path: Path, *, seconds: float = 1.5, picture: bool = True, sound: bool = True) -> None:
    """A moving bar of 160×120 pixels at 12 frames a second, and a tone."""
    rate = 16_000
    with av.open(str(path), "w", format="mp4", options={"movflags": "faststart"}) as container:
        video = container.add_stream("mpeg4", rate=12) if picture else None
        audio = container.add_stream("aac", rate=rate, layout="mono") if sound else None
        if video is not None:
            video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        container.start_encoding()
        if video is not None:
            for number in range(round(seconds * 12)):
                pixels = np.full((120, 160, 3), 60, np.uint8)
                pixels[:, 8 * number % 150 : 8 * number % 150 + 10] = (230, 180, 40)
                container.mux(video.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
            container.mux(video.encode(None))
        if audio is not None:
            wave = (0.3 * np.sin(2 * np.pi * 440 * np.arange(round(seconds * rate)) / rate)).astype(np.float32)
            frame = av.AudioFrame.from_ndarray(wave[None], format="fltp", layout="mono")
            frame.sample_rate, frame.time_base = rate, Fraction(1, rate)
            container.mux(audio.encode(frame))
            container.mux(audio.encode(None))


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("input")
    folder, outside = home / "videos", home / "outside"
    folder.mkdir()
    outside.mkdir()
    write_video(folder / "plain.mp4")
    data = (folder / "plain.mp4").read_bytes()
    for name in GOOD[2:]:
        (folder / name).write_bytes(data)
    (folder / os.fsdecode(b"not-utf8-\xff.mp4")).write_bytes(data)
    (folder / "line\nbreak.mp4").write_bytes(data)
    write_video(folder / "silent.mp4", sound=False)
    write_video(folder / "audio only.mp4", picture=False)
    write_video(folder / "no frames.mp4", seconds=0, sound=False)
    write_video(folder / "long.mp4", seconds=8, sound=False)
    long = (folder / "long.mp4").read_bytes()
    (folder / "long.mp4").unlink()
    (folder / "truncated.mp4").write_bytes(long[: len(long) // 2])
    (folder / "beheaded.mp4").write_bytes(data[len(data) // 2 :])
    (folder / "empty.mp4").touch()
    (folder / "text.mp4").write_text("This is not a video.\n" * 50)
    (folder / "folder.mp4").mkdir()
    (outside / "secret.mp4").write_bytes(data)
    (folder / "link out.mp4").symlink_to(outside / "secret.mp4")
    (folder / "dangling.mp4").symlink_to(folder / "gone.mp4")
    (folder / "elsewhere").symlink_to(outside)
    os.mkfifo(folder / "pipe.mp4")
    (folder / "locked.mp4").write_bytes(data)
    (folder / "locked.mp4").chmod(0)
    return folder


BAD = {
    "audio only.mp4": ("no_video", "no video"),
    "no frames.mp4": ("no_video", ""),
    "beheaded.mp4": ("unreadable", ""),
    "empty.mp4": ("unreadable", "empty"),
    "text.mp4": ("unreadable", ""),
    "folder.mp4": ("unreadable", "folder"),
    "link out.mp4": ("refused", "leads out of the input folder"),
    "dangling.mp4": ("unreadable", "no such file"),
    "elsewhere": ("refused", "leads out of the input folder"),
    "pipe.mp4": ("refused", "pipe"),
}
BROKEN = {"truncated.mp4": "decode"}
"""Broken on the way: whatever could be read is kept."""


@pytest.fixture(scope="module")
def output(folder, tmp_path_factory) -> str:
    output = str(tmp_path_factory.mktemp("output") / "out")
    done = mmtrail(folder, output)
    assert done.returncode == 0, done.stderr
    return output


def test_every_input_is_accounted_for(folder, output):
    expected = {*GOOD, *BAD, *BROKEN, "locked.mp4", "line%0Abreak.mp4", "not-utf8-%FF.mp4"}
    records = [row for table in store.open(output).videos() for row in table.to_pylist()]
    assert sorted(Path(row["video_path"]).name for row in records) == sorted(expected)
    statuses = {Path(row["video_path"]).name: row["status"] for row in records}
    for name in (*GOOD, "line%0Abreak.mp4", "not-utf8-%FF.mp4"):
        assert statuses[name] == "done", name
    for name in BAD:
        assert statuses[name] == "failed", name
    for name in BROKEN:
        assert statuses[name] == "partial", name
    assert statuses["locked.mp4"] == ("done" if os.geteuid() == 0 else "failed")
    clips = store.open(output).to_table(["video_path"], dropped=True)["video_path"].to_pylist()
    assert {Path(path).name for path in clips} >= set(GOOD)


def test_every_failure_has_its_kind_and_a_message_that_helps(output):
    rows = [row for table in store.open(output).failed() for row in table.to_pylist()]
    errors = {Path(row["video_path"]).name: row["error"] for row in rows}
    for name, (kind, words) in BAD.items():
        assert errors[name]["kind"] == kind, (name, errors[name])
        assert words in errors[name]["message"], errors[name]
        assert len(errors[name]["message"]) > 15
    for name, kind in BROKEN.items():
        assert errors[name]["kind"] == kind, errors[name]
    if os.geteuid() != 0:
        assert errors["locked.mp4"]["kind"] == "unreadable"
        assert "chmod" in errors["locked.mp4"]["message"]


def test_the_other_commands_agree(output, capsys):
    assert verify.main(["--output", output]) == 0
    assert status.main(["--output", output]) == 0
    assert "state       complete" in capsys.readouterr().out


def test_the_same_command_again_has_nothing_to_do(folder, output):
    done = mmtrail(folder, output)
    assert done.returncode == 0
    assert "running" not in done.stderr
    assert f"({len(GOOD) + len(BAD) + len(BROKEN) + 3} from earlier runs)" in done.stdout
