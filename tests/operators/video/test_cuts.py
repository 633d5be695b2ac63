"""Our faster score and time are those of PySceneDetect, and so are the cuts."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenedetect.common import FrameTimecode, Timecode
from scenedetect.detectors import AdaptiveDetector, ContentDetector, HashDetector

from operators.video.cuts import THRESHOLDS, CutFinder, Moment, make_detector

FPS, BASE = Fraction(30000, 1001), Fraction(1, 30000)


def pictures(lengths: list[int], seed: int) -> list[np.ndarray]:
    """Noisy pictures, 36×64×3 uint8: one scene for every length."""
    rng = np.random.default_rng(seed)
    shown = []
    for length in lengths:
        base = rng.integers(0, 255, 3)
        shown += [np.clip(base + rng.normal(0, 6, (36, 64, 3)), 0, 255).astype(np.uint8) for _ in range(length)]
    return shown


def their_cuts(detector: ContentDetector | AdaptiveDetector | HashDetector, shown: list[np.ndarray], ticks: list[int]):
    """Positions that PySceneDetect reports for these pictures with its own times."""
    at = {tick: position for position, tick in enumerate(ticks)}
    found = []
    for tick, picture in zip(ticks, shown, strict=True):
        time = FrameTimecode(timecode=Timecode(pts=tick, time_base=BASE), fps=FPS)
        found += [at[cut.pts] for cut in detector.process_frame(time, picture.copy())]
    return found


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 40), min_size=1, max_size=8),
    seed=st.integers(0, 2**31),
    jitter=st.booleans(),
)
@pytest.mark.parametrize("name", ["content", "adaptive", "hash"])
def test_cuts_are_those_of_the_detectors_themselves(name: str, lengths: list[int], seed: int, jitter: bool) -> None:
    shown = pictures(lengths, seed)
    steps = np.random.default_rng(seed).integers(200, 4000, len(shown)) if jitter else np.full(len(shown), 1001)
    ticks = [0, *np.cumsum(steps)[:-1].tolist()]
    theirs = {
        "content": ContentDetector(threshold=30.0, min_scene_len=15),
        "adaptive": AdaptiveDetector(adaptive_threshold=3.0, min_scene_len=15, window_width=2, min_content_val=15.0),
        "hash": HashDetector(threshold=0.395, size=16, lowpass=2, min_scene_len=15),
    }[name]
    finder = CutFinder(make_detector(name, None, 15), 15, FPS, BASE)
    ours = []
    for position, (tick, picture) in enumerate(zip(ticks, shown, strict=True)):
        suspect = finder.suspect
        cuts = finder.feed(position, tick, picture)
        for cut in cuts:
            # A late cut is where the finder said that one might come.
            assert position - cut <= 2 or cut == suspect
        ours += cuts
    assert ours + finder.finish(len(shown) - 1, ticks[-1]) == their_cuts(theirs, shown, ticks)


def test_scores_are_those_of_content_detector() -> None:
    theirs, ours = ContentDetector(threshold=30.0), make_detector("content", None, 15)
    for position, picture in enumerate(pictures([4, 3, 5], 1)):
        time = FrameTimecode(position, FPS)
        theirs.process_frame(time, picture.copy())
        ours.process_frame(time, picture.copy())
        assert ours._frame_score == pytest.approx(theirs._frame_score, rel=1e-12)  # type: ignore[attr-defined]


@given(first=st.integers(0, 10**7), step=st.integers(0, 10**7))
def test_moments_differ_by_as_many_frames_as_timecodes(first: int, step: int) -> None:
    per_tick, rate = float(FPS * BASE), float(FPS)
    a = FrameTimecode(timecode=Timecode(pts=first, time_base=BASE), fps=FPS)
    b = FrameTimecode(timecode=Timecode(pts=first + step, time_base=BASE), fps=FPS)
    assert Moment(1, first + step, per_tick, rate) - Moment(0, first, per_tick, rate) == (b - a).frame_num
    assert Moment(0, first, per_tick, rate) - Moment(1, first + step, per_tick, rate) == 0


def test_every_detector_has_its_threshold() -> None:
    assert THRESHOLDS == {"content": 30.0, "adaptive": 3.0, "hash": 0.395}
    assert make_detector("content", 12.0, 15)._threshold == 12.0  # type: ignore[attr-defined]
