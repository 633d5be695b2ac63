"""`SplitShots`: cuts, times, display and errors, on films made here and on real ones."""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pyarrow as pa
import pytest

from operators.contract import Media
from operators.video.shots import SplitShots

GOLDEN = json.loads((Path(__file__).parent / "golden_cuts.json").read_text())


def split(path: Path, *, isolate: bool = False, have: Any = None, **settings: Any) -> tuple[list[dict], dict]:
    """The clips and the video record of one file."""
    operator = SplitShots(SplitShots.Settings(**settings), isolate=isolate)
    try:
        rows = list(operator([{"video_id": "v", "uri": str(path), "extra": '{"a": 1}', "have": have}]))
    finally:
        operator.close()
    assert [row["record"] for row in rows[:-1]] == ["clip"] * (len(rows) - 1)
    assert rows[-1]["record"] == "video"
    return rows[:-1], rows[-1]


def spans(clips: list[dict]) -> list[list[int]]:
    return [clip["clip_start_end_idx"] for clip in clips]


def picture_of(jpeg: bytes) -> np.ndarray:
    shown = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert shown is not None
    return shown


def samples_of(clip: dict) -> np.ndarray:
    return np.frombuffer(clip["audio"], "<i2").astype(float) / 32768


@pytest.mark.parametrize("name", sorted(GOLDEN["real"]))
def test_real_cuts_are_the_golden_ones(shared_media: Path, name: str) -> None:
    clips, record = split(shared_media / name)
    assert record["status"] == "done", record["error"]
    assert [first for first, _ in spans(clips)][1:] == GOLDEN["real"][name]["frames"]
    starts = [clip["clip_start_end_time"][0] for clip in clips][1:]
    assert starts == pytest.approx(GOLDEN["real"][name]["seconds"], abs=1 / 23.976)


def test_made_cuts_are_the_golden_ones(films: Any) -> None:
    for name, film in GOLDEN["made"].items():
        path = films.make(films.scenes(film["lengths"], 320, 180), f"{name}.mp4", fps=film["fps"])
        clips, record = split(path, detector=film["detector"])
        assert spans(clips) == film["spans"], name
        assert record["n_clips"] == len(film["spans"])


def test_a_film_without_cuts_is_one_clip_and_rows_fit_their_schema(films: Any) -> None:
    path = films.make(films.scenes([40], 320, 180), sound=films.tone(1.6))
    clips, record = split(path)
    assert spans(clips) == [[0, 40]]
    (clip,) = clips
    assert clip["clip_id"] == "v_0000000" and clip["clip_path"] == f"{path}#t=0.000,1.600"
    assert (clip["video_path"], clip["extra"], clip["error"]) == (str(path), '{"a": 1}', None)
    assert clip["clip_duration"] == pytest.approx(1.6) and clip["video_fps"] == 25
    assert clip["provenance"]["of_score"] == "shots/1"
    table = pa.Table.from_pylist([{n: clip[n] for n in SplitShots.writes.names}], schema=SplitShots.writes)
    assert table.num_rows == 1
    assert (record["status"], record["n_clips"], record["codec"], record["has_audio"]) == ("done", 1, "h264", True)
    assert record["video_resolution"] == [180, 320] and record["size"] == path.stat().st_size


def test_shots_longer_than_the_limit_are_cut_there(films: Any) -> None:
    clips, record = split(films.make(films.scenes([250], 64, 64), fps=10), max_clip_seconds=10)
    assert spans(clips) == [[0, 100], [100, 200], [200, 250]]
    assert record["status"] == "done"


@pytest.mark.parametrize("rotation", [90, -90, 180])
def test_rotation_flags_turn_keyframes_sizes_and_pans(films: Any, rotation: int) -> None:
    still = films.scene(1, 320, 180)
    still[:40, :60] = (0, 0, 255)  # a red corner, top left as coded
    wide = films.texture(2, 640, 180)
    pictures = [still] * 30 + [wide[:, 2 * k : 2 * k + 320] for k in range(60)]  # then the camera turns right
    clips, record = split(films.make(pictures, rotation=rotation))
    turned = {90: (180, 320), -90: (180, 320), 180: (320, 180)}[rotation]
    assert record["video_resolution"] == [turned[1], turned[0]]
    picture = picture_of(clips[0]["keyframes"][1])
    assert picture.shape[:2] == (turned[1], turned[0])
    red = (picture[..., 2] > 200) & (picture[..., :2].max(axis=-1) < 60)
    y, x = np.argwhere(red).mean(axis=0) / picture.shape[:2]
    # FFmpeg's angle is counter-clockwise: 90 sends the top left corner to the bottom left.
    assert {90: (x < 0.3 and y > 0.7), -90: (x > 0.7 and y < 0.3), 180: (x > 0.7 and y > 0.7)}[rotation]
    pan = clips[-1]["pan_x"], clips[-1]["pan_y"]
    expected = {90: (0, -50 / 320), -90: (0, 50 / 320), 180: (-50 / 320, 0)}[rotation]  # widths a second
    assert pan == pytest.approx(expected, abs=0.02)


def test_non_square_pixels_are_shown_square(films: Any) -> None:
    path = films.make(films.scenes([20], 180, 144), pixel_aspect=Fraction(16, 11))
    clips, record = split(path)
    assert record["video_resolution"] == [144, 262]
    assert picture_of(clips[0]["keyframes"][0]).shape == (144, 262, 3)


@pytest.mark.parametrize(
    ("width", "height", "pix_fmt"), [(181, 97, "yuv444p"), (33, 17, "yuv444p"), (362, 202, "yuv420p")]
)
def test_odd_sizes(films: Any, width: int, height: int, pix_fmt: str) -> None:
    clips, record = split(films.make(films.scenes([20, 20], width, height), pix_fmt=pix_fmt))
    assert spans(clips) == [[0, 20], [20, 40]]
    assert picture_of(clips[0]["keyframes"][2]).shape == (height, width, 3)
    assert record["video_resolution"] == [height, width]


@pytest.mark.parametrize(
    ("codec", "pix_fmt", "options"),
    [
        ("libx264", "yuv420p10le", {}),
        ("libx264", "yuv422p", {}),
        ("libx265", "yuv420p", {"x265-params": "log-level=none:pools=1"}),
        ("libx265", "yuv422p10le", {"x265-params": "log-level=none:pools=1"}),
        ("libsvtav1", "yuv420p10le", {"preset": "12", "svtav1-params": "lp=1"}),
        ("libvpx-vp9", "yuv444p", {"deadline": "realtime", "cpu-used": "8"}),
        ("ffv1", "bgr0", {}),
        ("ffv1", "gray", {}),
        ("mpeg4", "yuv420p", {"qscale": "3"}),
    ],
)
def test_codecs_depths_and_formats(films: Any, codec: str, pix_fmt: str, options: dict) -> None:
    pictures = films.scenes([20, 20], 320, 192)
    film = films.make(pictures, "film.mkv", codec=codec, pix_fmt=pix_fmt, options=options)
    clips, record = split(film, threshold=10 if pix_fmt == "gray" else None)  # grey has one channel to differ in
    assert record["status"] == "done", record["error"]
    assert spans(clips) == [[0, 20], [20, 40]]
    shown = picture_of(clips[0]["keyframes"][1]).astype(int)
    expected = pictures[0].astype(int)
    if pix_fmt == "gray":
        expected = cv2.cvtColor(pictures[0], cv2.COLOR_BGR2GRAY)[..., None].astype(int)
    assert np.abs(shown - expected).mean() < 8


@pytest.mark.parametrize("colour", [(1, 1), (1, 2), (5, 2)])
def test_matrix_and_range_reach_the_keyframes(films: Any, colour: tuple[int, int]) -> None:
    pictures = films.scenes([20], 320, 192)
    clips, _ = split(films.make(pictures, colour=colour))
    assert np.abs(picture_of(clips[0]["keyframes"][1]).astype(int) - pictures[0]).mean() < 6


def test_variable_frame_rate_keeps_presentation_times(films: Any) -> None:
    times = [k * 0.04 for k in range(40)] + [1.6 + k * 0.12 for k in range(30)] + [5.2 + k * 0.04 for k in range(40)]
    clips, record = split(films.make(films.scenes([40, 30, 40], 320, 180), "film.mkv", times=times))
    assert spans(clips) == [[0, 40], [40, 70], [70, 110]]
    assert [clip["clip_start_end_time"][0] for clip in clips] == pytest.approx([0, 1.6, 5.2], abs=0.002)
    assert clips[1]["keyframe_times"] == pytest.approx([2.32, 3.4, 4.48], abs=0.13)
    assert record["video_duration"] == pytest.approx(6.8, abs=0.05)


def test_one_frame_per_second(films: Any) -> None:
    clips, record = split(films.make(films.scenes([20, 16], 320, 180), fps=1))
    assert spans(clips) == [[0, 20], [20, 36]]
    assert clips[1]["clip_start_end_time"] == [20.0, 36.0] and record["video_fps"] == 1
    assert clips[0]["motion_method"] == "optical_flow"


def test_a_single_frame(films: Any) -> None:
    clips, record = split(films.make([films.scene(1, 64, 64)]))
    assert spans(clips) == [[0, 1]] and len(clips[0]["keyframes"]) == 3
    assert (clips[0]["motion_method"], clips[0]["of_score"]) == ("none", None)
    assert record["status"] == "done"


def test_late_starts_and_missing_sound(films: Any) -> None:
    clips, record = split(films.make(films.scenes([25, 25], 320, 180), "film.mkv", start=2.0))
    assert [clip["clip_start_end_time"] for clip in clips] == [[2.0, 3.0], [3.0, 4.0]]
    assert clips[0]["audio"] is None and record["has_audio"] is False
    assert record["video_duration"] == pytest.approx(2.0)


def test_sound_that_starts_late_and_ends_early_is_silence_outside(films: Any) -> None:
    path = films.make(films.scenes([50, 50], 320, 180), "film.mkv", sound=films.tone(1.5), sound_start=1.0)
    clips, _ = split(path)
    heard = np.concatenate([samples_of(clip) for clip in clips])
    assert [len(samples_of(clip)) for clip in clips] == [32_000, 32_000]
    loud = np.abs(heard.reshape(-1, 160)).max(axis=1) > 0.1
    assert np.argmax(loud) / 100 == pytest.approx(1.0, abs=0.06)
    assert (len(loud) - np.argmax(loud[::-1])) / 100 == pytest.approx(2.5, abs=0.08)


def test_a_beep_at_a_cut_is_heard_at_the_cut(films: Any) -> None:
    sound = np.zeros(4 * 44_100, np.float32)
    sound[2 * 44_100 : 2 * 44_100 + 8820] = films.tone(0.2, 1000)
    clips, _ = split(films.make(films.scenes([50, 50], 320, 180), sound=sound))
    assert spans(clips) == [[0, 50], [50, 100]]
    assert np.abs(samples_of(clips[0])[:-480]).max() < 0.05
    begins = np.argmax(np.abs(samples_of(clips[1])) > 0.2) / 16_000
    assert begins < 0.03
    assert np.abs(samples_of(clips[1])[int(0.3 * 16_000) :]).max() < 0.05


def test_keyframes_show_their_times(films: Any) -> None:
    """Every frame carries its number as grey level, so that a keyframe tells which frame it is."""
    length = 200
    pictures = [np.full((96, 128, 3), 20 + k, np.uint8) for k in range(length)]
    clips, _ = split(films.make(pictures, fps=25, options={"crf": "1"}))
    assert spans(clips) == [[0, length]]
    for jpeg, time, place in zip(clips[0]["keyframes"], clips[0]["keyframe_times"], (0.2, 0.5, 0.8), strict=True):
        assert picture_of(jpeg).mean() - 20 == pytest.approx(time * 25, abs=3)
        assert abs(time - place * length / 25) <= place / 16 * length / 25 + 0.04


def test_keyframes_are_no_larger_than_asked(films: Any) -> None:
    clips, _ = split(films.make(films.scenes([20], 320, 180)), keyframe_size=160)
    assert picture_of(clips[0]["keyframes"][0]).shape == (90, 160, 3)


def test_the_moving_stream_is_taken_not_the_cover(films: Any) -> None:
    path = films.make(films.scenes([20, 20], 160, 96), cover=films.scene(9, 640, 640))
    with av.open(str(path)) as container:
        assert len(container.streams.video) == 2
    clips, record = split(path)
    assert spans(clips) == [[0, 20], [20, 40]] and record["video_resolution"] == [96, 160]


def test_clips_stored_before_are_counted_not_told(films: Any) -> None:
    path = films.make(films.scenes([20, 20, 20], 160, 96))
    clips, record = split(path, have={0: (0, 20), 2: (40, 60)})
    assert [clip["clip_index"] for clip in clips] == [1]
    assert record["n_clips"] == 3 and record["status"] == "done" and "restart" not in record
    for isolate in (False, True):
        clips, record = split(path, have={1: (20, 39)}, isolate=isolate)
        assert record["restart"] is True and [clip["clip_index"] for clip in clips] == [0]


def test_rows_do_not_depend_on_process_order_or_earlier_rows(films: Any) -> None:
    one = films.make(films.scenes([30, 30], 160, 96), "one.mp4", sound=films.tone(2.4))
    other = films.make(films.scenes([25], 320, 180), "other.mp4")
    alone, _ = split(one)
    operator = SplitShots()
    rows = list(operator([{"video_id": "v", "uri": str(path), "extra": '{"a": 1}'} for path in (other, one, one)]))
    operator.close()
    clips = [row for row in rows if row["record"] == "clip" and row["video_path"] == str(one)]
    assert clips == alone + alone


def test_adaptive_and_hash_detectors(films: Any) -> None:
    path = films.make(films.scenes([30, 30, 30], 320, 180))
    for detector in ("adaptive", "hash"):
        assert spans(split(path, detector=detector)[0]) == [[0, 30], [30, 60], [60, 90]]
    assert spans(split(path, threshold=250)[0]) == [[0, 90]]


def bad_files(films: Any) -> Iterator[tuple[Path, str, str]]:
    """Paths of files that are no videos, with the kind and a word of the message."""
    folder = films.folder
    (folder / "empty.mp4").write_bytes(b"")
    yield folder / "empty.mp4", "unreadable", "empty"
    (folder / "text.mp4").write_text("#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfilm.mp4\n#EXT-X-ENDLIST\n")
    yield folder / "text.mp4", "unreadable", "not a media file"
    (folder / "directory.mp4").mkdir()
    yield folder / "directory.mp4", "unreadable", "directory"
    yield folder / "absent.mp4", "unreadable", "path"
    whole = films.make(films.scenes([50], 160, 96), "whole.mp4")
    (folder / "headless.mp4").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    yield folder / "headless.mp4", "unreadable", "truncated"
    with av.open(str(folder / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", 44_100, layout="mono")
        frame = av.AudioFrame.from_ndarray(films.tone(1.0)[None], format="fltp", layout="mono")
        frame.sample_rate = 44_100
        container.mux([*stream.encode(frame), *stream.encode()])
    yield folder / "sound.mp4", "no_video", "audio"
    with av.open(str(folder / "no_frame.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    yield folder / "no_frame.mkv", "no_video", "no frame"
    with av.open(str(folder / "no_frame.mp4"), "w") as container:
        stream = container.add_stream("mpeg4", 25)
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        container.start_encoding()
    yield folder / "no_frame.mp4", "no_video", "no video"


@pytest.mark.parametrize("isolate", [False, True])
def test_files_that_are_no_videos_fail_with_their_kind(films: Any, isolate: bool) -> None:
    for path, kind, word in bad_files(films):
        clips, record = split(path, isolate=isolate)
        assert clips == [] and record["status"] == "failed" and record["n_clips"] == 0
        assert record["error"]["kind"] == kind, (path, record["error"])
        assert word in record["error"]["message"], record["error"]
        (path.rmdir if path.is_dir() else lambda path=path: path.unlink(missing_ok=True))()


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads every file")
def test_no_permission(films: Any) -> None:
    path = films.make(films.scenes([10], 64, 64))
    path.chmod(0)
    assert split(path)[1]["error"]["kind"] == "unreadable"


def test_a_file_cut_short_keeps_what_can_be_decoded(films: Any) -> None:
    options = {"movflags": "faststart"}
    path = films.folder / "start.mp4"
    whole = films.make(films.scenes([50, 50, 50, 50], 320, 180), "whole.mp4")
    with av.open(str(whole)) as source, av.open(str(path), "w", options=options) as target:
        stream = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                packet.stream = stream
                target.mux(packet)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    clips, record = split(path)
    assert (record["status"], record["error"]["kind"]) == ("partial", "decode")
    assert 2 <= len(clips) == record["n_clips"] and spans(clips)[0] == [0, 50]
    assert "cut short" in record["error"]["message"]


def test_damage_in_the_middle_keeps_the_clips_before(films: Any) -> None:
    noise = np.random.default_rng(3).integers(0, 255, (400, 96, 160, 3), np.uint8)
    pictures = films.scenes([50, 50], 160, 96) + list(noise)
    path = films.make(pictures, "film.mkv", codec="ffv1", options={"slicecrc": "1"})
    data = bytearray(path.read_bytes())
    start = len(data) * 3 // 10
    data[start:-2000] = bytes(len(data) - start - 2000)
    path.write_bytes(bytes(data))
    clips, record = split(path)
    assert spans(clips)[:2] == [[0, 50], [50, 100]]
    assert record["status"] in ("partial", "done") and record["n_clips"] == len(clips) >= 3


def test_one_corrupt_packet_is_passed_over(films: Any) -> None:
    path = films.make(films.scenes([40, 40], 160, 96), "film.mkv", codec="mpeg4", options={"g": "5"})
    with av.open(str(path)) as container:
        packets = [p for p in container.demux(video=0) if p.size]
        position, size = packets[20].pos, packets[20].size
    data = bytearray(path.read_bytes())
    at = data.find(bytes(packets[20]), position or 0)
    data[at : at + size] = bytes(size)
    path.write_bytes(bytes(data))
    clips, record = split(path)
    assert record["status"] == "done" and 78 <= spans(clips)[-1][1] <= 80


def test_damaged_files_never_show_a_bug(films: Any) -> None:
    made = [
        films.make(films.scenes([20, 20], 160, 96), "a.mp4", sound=films.tone(1.6)),
        films.make(films.scenes([20, 20], 160, 96), "b.mkv", sound=films.tone(1.6)),
        films.make(films.scenes([20, 20], 160, 96), "c.avi", codec="mpeg4"),
        films.make(films.scenes([20, 20], 160, 96), "d.ts", codec="mpeg4"),
    ]
    chance = random.Random(5)
    operator = SplitShots()
    for turn in range(60):
        source = made[turn % len(made)]
        data = bytearray(source.read_bytes())
        for _ in range(chance.choice([1, 10, 300])):
            data[chance.randrange(len(data))] = chance.randrange(256)
        damaged = films.folder / f"damaged{source.suffix}"
        damaged.write_bytes(data[: chance.choice([len(data), chance.randrange(len(data))])])
        *clips, record = operator([{"video_id": "v", "uri": str(damaged)}])
        assert record["n_clips"] == len(clips)
        kind = record["error"] and record["error"]["kind"]
        assert kind in (None, "unreadable", "no_video", "decode"), record["error"]
    operator.close()


def test_another_file_than_the_manifest_saw_is_refused(films: Any) -> None:
    path = films.make(films.scenes([10], 64, 64))

    @contextmanager
    def opened(uri: str) -> Iterator[Media]:
        yield Media(path=Path(uri), size=path.stat().st_size, etag="new")

    operator = SplitShots(open_media=opened, isolate=False)
    for row in ({"size": 5}, {"etag": "old"}):
        (record,) = operator([{"video_id": "v", "uri": str(path), **row}])
        assert record["error"]["kind"] == "changed" and record["status"] == "failed"
    *clips, record = operator([{"video_id": "v", "uri": str(path), "size": path.stat().st_size, "etag": "new"}])
    assert record["status"] == "done" and len(clips) == 1 and record["etag"] == "new"
