from __future__ import annotations

from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from operators.pose.motion.frame_spans import as_span, frames_of, masked, runs, widened

MASKS = st.lists(st.booleans(), max_size=40).map(lambda bits: np.array(bits, dtype=bool))


def test_runs_are_half_open():
    assert runs(np.array([True, False, True, True])) == [(0, 1), (2, 4)]
    assert runs(np.zeros(0, dtype=bool)) == []


@given(MASKS)
def test_runs_cover_the_mask_and_never_touch(mask: np.ndarray):
    found = runs(mask)
    assert np.array_equal(masked(found, len(mask)), mask)
    assert all(end < start for (_, end), (start, _) in pairwise(found))


@given(MASKS, st.integers(0, 50))
def test_widening_adds_what_is_near_and_no_more(mask: np.ndarray, by: int):
    found = masked(widened(runs(mask), by, len(mask)), len(mask))
    set_frames = np.flatnonzero(mask)
    near = [set_frames.size > 0 and bool(np.abs(set_frames - k).min() <= by) for k in range(len(mask))]
    assert found.tolist() == near


def test_a_span_is_frames_and_seconds():
    span = as_span((15, 45), 30.0)
    assert span == {"start_frame": 15, "end_frame": 45, "start": 0.5, "end": 1.5}
    assert frames_of(span) == (15, 45)
