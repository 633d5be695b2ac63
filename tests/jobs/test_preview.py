"""Previews of a committed run: films with the pose over the picture, words below, and a sheet of stills."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image

from jobs import preview as module
from jobs.preview import _evenly, _file_name, _size, preview
from jobs.preview_film import Film
from jobs.preview_panel import HEIGHT
from operators.errors import ConfigurationError
from store.objects import open_store
from tests.jobs.gesture_run import gesture_clip, gesture_run
from tests.store.committed import small_run
from tests.talking_poses import talking_row

FRAMES = 24
CAMERA = {"focal": 300.0, "centre_x": 160.0, "centre_y": 120.0, "width": 320, "height": 240}


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of a dark picture that grows lighter from left to right over the frames, with a tone."""
    path = tmp_path_factory.mktemp("films") / "talk.mp4"
    tone = (9000 * np.sin(2 * np.pi * 300 * np.arange(2 * 16_000) / 16_000)).astype(np.int16)
    with Film(path, 30.0, (320, 240), tone) as writing:
        for frame in range(60):
            picture = np.full((240, 320, 3), 30, np.uint8)
            picture[200:, : frame * 5] = 120
            writing.add(picture)
    return path


def shown_clip(film: Path, index: int = 0, **columns: Any) -> dict[str, Any]:
    talking = talking_row(FRAMES, seed=index)
    shown = {name: talking[name] for name in ("raw_poses", "raw_transl", "rest_joints", "joint_mask")}
    shown |= {
        "poses": talking["raw_poses"],
        "transl": talking["raw_transl"],
        "presence": np.zeros((FRAMES, 4), np.float16),
        "camera": CAMERA,
        "video_path": str(film),
        "clip_start_end_idx": [10, 10 + FRAMES],
        "clip_start_end_time": [10 / 30, (10 + FRAMES) / 30],
    }
    return gesture_clip(index, FRAMES, **shown | columns)


def pictures(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_a_clip_is_shown_with_its_pose_its_words_and_its_sound(tmp_path: Path, film: Path):
    gesture_run(open_store(tmp_path / "out"), [shown_clip(film)])
    paths = preview(str(tmp_path / "out"), 3)
    assert [path.relative_to(tmp_path).as_posix() for path in paths] == [
        "out/preview/v_0000000.mp4",
        "out/preview/sheet.png",
    ]
    shown = pictures(paths[0])
    assert len(shown) == FRAMES
    assert shown[0].shape == (240 + HEIGHT, 420, 3)  # as wide as a line of words needs, the picture in its middle
    bar = [int((frame[225, 50:370].mean(axis=1) > 75).sum()) for frame in shown]
    assert bar == pytest.approx([(10 + k) * 5 for k in range(FRAMES)], abs=6)
    orange = [(np.abs(frame[:240].astype(int) - (255, 170, 50)).max(axis=2) < 60).sum() for frame in shown]
    assert min(orange) > 50
    with av.open(str(paths[0])) as container:
        sound = np.concatenate([frame.to_ndarray()[0] for frame in container.decode(audio=0)])
    assert np.abs(sound).mean() > 0.1
    with Image.open(paths[-1]) as sheet:
        assert sheet.size == (1600, round((240 + HEIGHT) * 400 / 420))


def test_kept_clips_are_shown_first_and_dropped_ones_where_there_are_too_few(tmp_path: Path, film: Path):
    clips = [
        shown_clip(film, 0, drop_reason="no_usable_span", poses=None, transl=None, usable_spans=[]),
        shown_clip(film, 1),
        gesture_clip(2, drop_reason="two_people", camera=None),
        shown_clip(film, 3),
    ]
    gesture_run(open_store(tmp_path / "out"), clips)
    assert [path.stem for path in preview(str(tmp_path / "out"), 2, tmp_path / "to")] == [
        "v_0000001",
        "v_0000003",
        "sheet",
    ]
    assert {path.stem for path in preview(str(tmp_path / "out"), 9, tmp_path / "all")} == {
        "v_0000000",
        "v_0000001",
        "v_0000003",
        "sheet",
    }


def test_a_long_clip_is_cut(tmp_path: Path, film: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(module, "SECONDS", 0.5)
    gesture_run(open_store(tmp_path / "out"), [shown_clip(film)])
    assert len(pictures(preview(str(tmp_path / "out"), 1)[0])) == 15


def test_a_clip_whose_video_is_gone_is_passed_over(tmp_path: Path, film: Path):
    clips = [shown_clip(film, 0), {**shown_clip(film, 1), "video_path": str(tmp_path / "gone.mp4")}]
    gesture_run(open_store(tmp_path / "out"), clips)
    assert [path.name for path in preview(str(tmp_path / "out"), 2)] == ["v_0000000.mp4", "sheet.png"]
    assert not (tmp_path / "out" / "preview" / "v_0000001.mp4").exists()
    gesture_run(open_store(tmp_path / "other"), clips[1:])
    with pytest.raises(ConfigurationError, match="no clip could be shown: v_0000001: there is no such file"):
        preview(str(tmp_path / "other"), 2)


def test_a_body_model_that_the_run_used_is_drawn(tmp_path: Path, film: Path, smplx_body: Path):
    pytest.importorskip("smplx")
    for name, config in (("plain", {}), ("meshed", {"lift": {"body_model": str(smplx_body)}})):
        gesture_run(open_store(tmp_path / name), [shown_clip(film)], config=config)
    monochrome = [pictures(preview(str(tmp_path / name), 1)[0])[5][:240] for name in ("plain", "meshed")]
    assert (np.abs(monochrome[0].astype(int) - monochrome[1]).max(axis=2) > 40).sum() > 500


def test_runs_without_poses_have_nothing_to_show(tmp_path: Path, film: Path):
    small_run(open_store(tmp_path / "trailers"))
    with pytest.raises(ConfigurationError, match="mmtrail has no poses"):
        preview(str(tmp_path / "trailers"), 1)
    gesture_run(open_store(tmp_path / "out"), [gesture_clip(0, drop_reason="two_people", camera=None)])
    with pytest.raises(ConfigurationError, match="no clip of this run has poses"):
        preview(str(tmp_path / "out"), 1)


def test_clips_are_taken_evenly():
    assert _evenly("abcdef", 3) == ["b", "d", "f"]
    assert _evenly("abc", 3) == _evenly("abc", 5) == ["a", "b", "c"]
    assert _evenly("abc", 1) == ["b"]
    assert _evenly("abc", 0) == []


@pytest.mark.parametrize(("width", "height"), [(800, 800), (1920, 1080), (480, 640), (101, 51), (3, 2), (720, 5000)])
def test_pictures_are_even_and_small(width: int, height: int):
    across, down = _size({"width": width, "height": height}, 528)
    assert across % 2 == down % 2 == 0
    assert across <= 640 and down <= 528
    assert across / down == pytest.approx(width / height, rel=0.35 if min(width, height) < 60 else 0.02)


@pytest.mark.parametrize(
    ("clip_id", "name"),
    [
        ("v_0000000", "v_0000000"),
        ("../../etc/x", "_.._etc_x"),
        ("a b/ü", "a_b_"),
        ("...", "clip"),
        ("x" * 300, "x" * 100),
    ],
)
def test_ids_cannot_lead_out_of_the_folder(clip_id: str, name: str):
    assert _file_name(clip_id) == name
