"""Clips as BEAT2's files: names that stay in the folder, times that stay on the clip's clock."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.beat2_folder import Beat2Folder, Options, basic, clock
from operators.audio.sound import decode_flac, encode_flac
from operators.errors import RowFailure
from operators.pose.beat2 import from_beat2
from tests.jobs.gesture_run import SAMPLE_RATE, gesture_clip


def span(start: int, end: int) -> dict[str, float]:
    return {"start_frame": start, "end_frame": end, "start": start / 30, "end": end / 30}


def export(folder: Path, *clips, **options) -> Path:
    writer = Beat2Folder(folder, Options(**options))
    for clip in clips:
        writer.add(clip)
    writer.close()
    return folder


def lines(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "clips.jsonl").read_text().splitlines()]


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, SAMPLE_RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2")


def test_each_usable_span_is_a_file_with_its_own_sound_and_words(tmp_path):
    clip = gesture_clip(frames=90, usable_spans=[span(6, 36), span(60, 90)])
    export(tmp_path, clip)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.*")) == [
        "clips.jsonl",
        "smplxflame_30/v_0000000_000.npz",
        "smplxflame_30/v_0000000_001.npz",
        "textgrid/v_0000000_000.TextGrid",
        "textgrid/v_0000000_001.TextGrid",
        "wave16k/v_0000000_000.wav",
        "wave16k/v_0000000_001.wav",
    ]
    first, second = (from_beat2(tmp_path / "smplxflame_30" / f"v_0000000_00{n}.npz") for n in (0, 1))
    np.testing.assert_allclose(first.transl, clip["transl"][6:36], atol=1e-5)
    np.testing.assert_allclose(second.transl, clip["transl"][60:90], atol=1e-5)
    sound = decode_flac(clip["sound"])
    np.testing.assert_array_equal(samples(tmp_path / "wave16k" / "v_0000000_000.wav"), sound[3200:19200])
    words = (tmp_path / "textgrid" / "v_0000000_000.TextGrid").read_text()
    assert 'xmin = 0.300000\n            xmax = 0.600000\n            text = "not"' in words  # 0.5 to 0.8 in the clip
    assert 'text = "ask"' in words  # cut to the span
    assert 'text = "ask"' not in (tmp_path / "textgrid" / "v_0000000_001.TextGrid").read_text()
    found = lines(tmp_path)
    assert [line["span"]["start_frame"] for line in found] == [6, 60]
    assert found[0]["files"]["wav"] == "wave16k/v_0000000_000.wav"
    assert set(found[0]["lacks"]) == {"betas", "expressions", "gender"}
    assert found[0]["transcript_quality"] == "low"


def test_whole_clips_are_one_file_with_a_mask(tmp_path):
    mask = [frame % 7 != 0 for frame in range(60)]
    export(tmp_path, gesture_clip(usable_spans=[], frame_mask=mask), spans="whole")
    motion = from_beat2(tmp_path / "smplxflame_30" / "v_0000000.npz")
    assert len(motion) == 60
    np.testing.assert_array_equal(motion.frame_mask, mask)


def test_another_rate_has_a_folder_of_its_own_and_the_same_sound(tmp_path):
    export(tmp_path, gesture_clip(frames=61, usable_spans=[span(0, 61)]), fps=15.0)
    motion = from_beat2(tmp_path / "smplxflame_15" / "v_0000000_000.npz")
    assert (motion.fps, len(motion)) == (15.0, 31)
    assert len(samples(tmp_path / "wave16k" / "v_0000000_000.wav")) == round(61 / 30 * SAMPLE_RATE)
    assert lines(tmp_path)[0]["fps"] == 15.0


def test_sound_that_ends_early_is_silence_and_none_is_no_file(tmp_path):
    short = gesture_clip(0)
    begun = encode_flac(decode_flac(short["sound"])[:500])
    export(tmp_path, {**short, "sound": begun}, gesture_clip(1, sound=None))
    heard = samples(tmp_path / "wave16k" / "v_0000000_000.wav")
    assert len(heard) == 2 * SAMPLE_RATE
    assert heard[:500].any()
    assert not heard[500:].any()
    assert not (tmp_path / "wave16k" / "v_0000001_000.wav").exists()
    assert "wav" not in lines(tmp_path)[1]["files"]


def test_a_clip_without_a_usable_span_writes_nothing(tmp_path):
    writer = Beat2Folder(tmp_path, Options())
    assert writer.add(gesture_clip(usable_spans=[])) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_clip_that_does_not_fit_leaves_no_file(tmp_path):
    with pytest.raises(RowFailure):
        Beat2Folder(tmp_path, Options()).add(gesture_clip(transl=np.zeros((3, 3), np.float32)))
    assert list(tmp_path.iterdir()) == []


HOSTILE = ["../../etc/passwd", "/etc/passwd", "..", ".", "", "a/b", "a\\b", "C:x", "con", "nul.txt", "x" * 500, "a\0b",
           "-rf", ".hidden", "line\nbreak", "émile", "\ud800", "a:b", "~root", "v_0000000_000"]  # fmt: skip


@pytest.mark.parametrize("spans", ["whole", "usable"])
def test_names_of_strangers_stay_in_the_folder_and_apart(tmp_path, spans):
    folder = tmp_path / "inside"
    clips = [gesture_clip(0, 4, clip_id=name, usable_spans=[span(0, 4)]) for name in HOSTILE]
    writer = Beat2Folder(folder, Options(spans=spans))
    for clip in clips:
        assert writer.add(clip) == 1
    assert {path.name for path in tmp_path.iterdir()} == {"inside"}
    written = list((folder / "smplxflame_30").iterdir())
    assert len(written) == len(HOSTILE)
    assert all(path.name.isascii() and len(path.name) < 120 and path.name[0].isalnum() for path in written)


@given(st.lists(st.text(max_size=30), min_size=1, max_size=30, unique=True))
def test_every_id_gets_a_plain_name_of_its_own(ids):
    writer = Beat2Folder(Path("nowhere"), Options())
    names = [writer._name(text) for text in ids]
    assert len({name.casefold() for name in names}) == len(ids)
    assert all(set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") for name in names)
    assert all(name[0].isalnum() and ".." not in name[:2] for name in names)


def test_names_that_differ_in_case_alone_are_two_files(tmp_path):
    writer = Beat2Folder(tmp_path, Options(spans="whole"))
    for name in ("Talk_0000000", "talk_0000000"):
        writer.add(gesture_clip(0, 4, clip_id=name))
    assert len({path.name.casefold() for path in (tmp_path / "smplxflame_30").iterdir()}) == 2


def test_the_basic_block_has_the_names_and_formats_of_ges_x():
    found = basic(gesture_clip(frames=30))
    assert found == {
        "video_id": "v",
        "video_path": "talks/v.mp4",
        "video_duration": 792.52,
        "video_resolution": [360, 640],
        "video_fps": 30.0,
        "clip_id": "v_0000000",
        "clip_path": "talks/v.mp4#t=3723.5,3724.5",
        "clip_duration": 1.0,
        "clip_start_end_idx": [100, 130],
        "clip_start_end_time": ["01:02:03.500", "01:02:04.500"],
    }
    json.dumps(found)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "00:00:00.000"),
        (0.96, "00:00:00.960"),
        (59.9996, "00:01:00.000"),
        (360000, "100:00:00.000"),
        (-0.1, "00:00:00.000"),
    ],
)
def test_times_of_day(seconds, text):
    assert clock(seconds) == text


def test_writing_again_gives_the_same_bytes(tmp_path):
    one, two = (export(tmp_path / name, gesture_clip(), gesture_clip(1), fps=25.0) for name in "ab")
    for path in sorted(one.rglob("*")):
        if path.suffix == ".npz":
            with np.load(path) as a, np.load(two / path.relative_to(one)) as b:
                assert all(np.array_equal(a[name], b[name]) for name in a.files)
        elif path.is_file():
            assert path.read_bytes() == (two / path.relative_to(one)).read_bytes()
