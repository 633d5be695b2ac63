"""The pass by itself: odd clocks, odd interleaving, and what it keeps in memory."""

from __future__ import annotations

import struct
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
import pytest

from operators.video import one_pass
from operators.video.events import Clip, Ended, Event, Opened, Progress
from operators.video.one_pass import PassOptions, watch
from tests.hostile import sources


def run(path: Path, **options: Any) -> tuple[list[Clip], Ended]:
    events = list(watch(path, PassOptions(**options)))
    assert isinstance(events[-1], Ended)
    return [event for event in events if isinstance(event, Clip)], events[-1]


def repacked(path: Path, name: str, order: Any, **options: str) -> Path:
    """The same packets, written in the order of the key `order(packet)`."""
    target_path = path.with_name(name)
    with av.open(str(path)) as source, av.open(str(target_path), "w", options=options) as target:
        streams = {s.index: target.add_stream_from_template(s) for s in source.streams}
        packets = [packet for packet in source.demux() if packet.dts is not None]
        for packet in sorted(packets, key=order):
            packet.stream = streams[packet.stream.index]
            target.mux(packet)
    return target_path


def test_events_come_in_order_and_signs_of_life_between(films: Any) -> None:
    events: list[Event] = list(watch(films.make(films.scenes([100, 100, 100], 160, 96)), PassOptions()))
    assert isinstance(events[0], Opened)
    assert any(isinstance(event, Progress) for event in events)
    assert [event.index for event in events if isinstance(event, Clip)] == [0, 1, 2]


def test_clips_leave_as_they_are_found(films: Any) -> None:
    path = films.make(films.scenes([100, 100, 100], 160, 96), sound=films.tone(12.0))
    seen = 0
    for event in watch(path, PassOptions()):
        if isinstance(event, Progress):
            seen = max(seen, event.clips)
        if isinstance(event, Clip) and event.index == 0:
            break
    assert isinstance(event, Clip) and event.audio is not None and len(event.audio) == 2 * 4 * 16_000
    assert seen == 0


def test_times_that_repeat_go_back_or_jump_stay_in_order(films: Any) -> None:
    times = [k * 0.04 for k in range(30)] + [500 + k * 0.04 for k in range(30)]
    for lengths in ([60], [30, 30]):  # a jump within a scene, and one with the cut
        path = films.make(films.scenes(lengths, 160, 96), "film.mkv", times=times, sound=films.tone(3.0))
        clips, ended = run(path)
        check_jump(clips, ended)


def check_jump(clips: list[Clip], ended: Ended) -> None:
    assert ended.kind is None and [(c.first, c.end) for c in clips] == [(0, 30), (30, 60)]
    assert clips[0].stop == pytest.approx(1.2, abs=0.01) and clips[1].start == 500
    assert all(len(c.audio or b"") == 2 * round((c.stop - c.start) * 16_000) for c in clips)


def test_sound_stored_far_behind_its_picture_is_said_to_be_missing(
    films: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(one_pass, "SOUND_BEHIND", 2.0)
    path = films.make(films.scenes([50] * 6, 160, 96), "film.mkv", sound=films.tone(12.0))
    order = lambda packet: (packet.stream.type == "audio", packet.dts * packet.time_base)  # noqa: E731
    apart = repacked(path, "apart.mkv", order, max_interleave_delta="0")
    with av.open(str(apart)) as container:
        kinds = [packet.stream.type for packet in container.demux() if packet.dts is not None]
    if kinds == sorted(kinds, reverse=True):
        _, ended = run(apart)
        assert ended.kind == "decode" and "remux" in (ended.message or "")
    clips, ended = run(path)
    assert ended.kind is None and len(clips) == 6


def test_a_late_cut_gives_both_clips_their_frames(films: Any) -> None:
    """Flashes are merged: the cut is reported fifteen frames after it."""
    clips, _ = run(films.make(films.scenes([30, 6, 6, 6, 40], 160, 96), fps=24))
    assert [(clip.first, clip.end) for clip in clips] == [(0, 30), (30, 88)]
    for clip in clips:
        wanted = [clip.start + place * (clip.stop - clip.start) for place in (0.2, 0.5, 0.8)]
        assert clip.keyframe_times == pytest.approx(wanted, abs=0.05 * (clip.stop - clip.start) + 1 / 24)
        assert clip.motion.motion_method == "optical_flow"


def test_motion_reaches_the_clip_it_happened_in(films: Any) -> None:
    wide = films.texture(3, 800, 180)
    pan = [np.ascontiguousarray(wide[:, 4 * k : 4 * k + 320]) for k in range(50)]
    clips, _ = run(films.make([films.scene(1, 320, 180)] * 50 + pan, fps=25))
    still, moving = clips[0].motion, clips[1].motion
    assert still.of_score is not None and still.of_score < 0.2
    assert moving.pan_x == pytest.approx(4 * 25 / 320, abs=0.03)
    assert moving.of_score == pytest.approx(4 * 256 / 320, rel=0.2)


def test_odd_frame_rates_of_headers_do_not_matter(films: Any) -> None:
    path = films.make(films.scenes([30, 30], 160, 96), "film.avi", codec="mpeg4", fps=Fraction(25))
    clips, ended = run(path)
    assert [(clip.first, clip.end) for clip in clips] == [(0, 30), (30, 60)]
    assert ended.duration == pytest.approx(2.4, abs=0.05)


def test_many_frames_hold_few_pictures(films: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0
    add = one_pass.Reservoir.add

    def counted(self: Any, *args: Any) -> None:
        nonlocal most
        add(self, *args)
        most = max(most, len(self))

    monkeypatch.setattr(one_pass.Reservoir, "add", counted)
    run(films.make([films.scene(1, 64, 64)] * 900, fps=30))
    assert 10 < most <= 32


def shown(jpeg: bytes) -> np.ndarray:
    picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    return picture


def test_samples_lie_on_a_regular_clock_and_show_their_frames(films: Any) -> None:
    """Every frame carries its number as grey level."""
    pictures = [np.full((120, 800, 3), 20 + k, np.uint8) for k in range(100)]
    path = films.make(pictures, fps=25, options={"crf": "1"})
    [clip], _ = run(path, samples_per_second=2.5)
    assert [sample.position for sample in clip.samples] == list(range(0, 100, 10))
    for sample in clip.samples:
        assert sample.time == pytest.approx(sample.position / 25)
        assert shown(sample.jpeg).shape == (96, 640, 3)
        assert shown(sample.jpeg).mean() - 20 == pytest.approx(sample.position, abs=4)


def test_every_clip_has_a_sample_inside_it_and_the_rest_of_the_pass_does_not_change(films: Any) -> None:
    path = films.make(films.scenes([8, 30, 7, 8, 40, 2], 160, 96), sound=films.tone(3.8))
    plain, ended = run(path, min_shot_frames=2)
    sampled, _ = run(path, min_shot_frames=2, samples_per_second=1.5)
    assert ended.clips == len(plain) == 6
    assert [replace(clip, samples=()) for clip in sampled] == plain
    for clip in sampled:
        positions = [sample.position for sample in clip.samples]
        assert positions and positions == sorted(set(positions))
        assert clip.first <= positions[0] and positions[-1] < clip.end
    assert all(clip.samples == () for clip in plain)


def test_a_clip_ends_where_its_samples_would_be_too_many(films: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(one_pass, "MOST_SAMPLES", 4)
    clips, _ = run(films.make(films.scenes([100], 160, 96)), samples_per_second=5)
    assert [len(clip.samples) for clip in clips] == [4] * 5
    assert [clip.first for clip in clips[1:]] == [clip.end for clip in clips[:-1]] and clips[-1].end == 100


def test_clips_and_footage_are_bounded_whatever_is_stored(films: Any) -> None:
    path = films.make(films.scenes([30] * 6, 160, 96), fps=10)
    assert len(run(path)[0]) == 6
    bounds: list[tuple[dict[str, Any], str]] = [
        ({"max_clips": 3}, "max_clips"),
        ({"max_hours": 8.5 / 3600}, "max_hours"),
    ]
    for options, setting in bounds:
        clips, ended = run(path, **options)
        assert ended.kind == "refused" and f"shots.{setting}" in (ended.message or "")
        assert ended.clips == len(clips) and 3 <= len(clips) <= 4
        have = {clip.index: (clip.first, clip.end) for clip in clips[:2]}
        *rest, again = watch(path, PassOptions(**options), have)
        assert [event for event in rest if isinstance(event, Clip)] == clips[2:] and again == ended


def test_frames_that_each_claim_a_minute_do_not_become_endless_clips(films: Any) -> None:
    """A file of a few kilobytes whose clock jumps before every frame: each would be a clip."""
    path = films.make(films.scenes([200], 64, 64), "jumps.mkv", times=[61.0 * k for k in range(200)])
    clips, ended = run(path, max_clips=20)
    assert ended.kind == "refused" and 20 <= len(clips) <= 22


def test_a_frame_that_claims_a_day_is_held_for_a_minute(films: Any) -> None:
    """A clip's sound is as long as the clip: what a header says of a frame's duration must not make it terabytes."""
    film = sources.clip("avi", "mpeg4", "pcm_s16le")
    clock = film.index(b"strh") + 8 + 20  # scale and rate of the picture
    path = films.folder / "slow.avi"
    path.write_bytes(film[:clock] + struct.pack("<II", 86_400, 1) + film[clock + 8 :])
    clips, ended = run(path)
    assert ended.kind in (None, "decode") and len(clips) > 10
    assert all(each.stop - each.start <= one_pass.LONGEST_HOLD for each in clips)
    assert all(len(each.audio or b"") <= 2 * 16_000 * one_pass.LONGEST_HOLD for each in clips)
