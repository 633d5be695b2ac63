"""Events survive the pipe, in whatever pieces it delivers them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.video.events import Clip, Ended, Event, Opened, Progress, Sample, Shown, pack, unpack
from operators.video.motion import ClipMotion

MOTION = st.builds(
    ClipMotion,
    of_score=st.none() | st.floats(0, 100),
    motion_method=st.sampled_from(["none", "optical_flow"]),
    pan_x=st.none() | st.floats(-2, 2),
    pan_y=st.none() | st.floats(-2, 2),
    zoom=st.none() | st.floats(-2, 2),
    motion_residual=st.none() | st.floats(0, 9),
)
CLIP = st.builds(
    Clip,
    index=st.integers(0, 10**6),
    first=st.integers(0, 10**9),
    end=st.integers(0, 10**9),
    start=st.floats(-10, 10**6),
    stop=st.floats(-10, 10**6),
    motion=MOTION,
    keyframe_times=st.lists(st.floats(0, 10**6), min_size=3, max_size=3).map(tuple),
    keyframes=st.lists(st.binary(max_size=300), min_size=3, max_size=3).map(tuple),
    audio=st.none() | st.binary(max_size=500),
    samples=st.lists(
        st.builds(Sample, st.integers(0, 10**9), st.floats(-10, 10**6), st.binary(max_size=200)), max_size=3
    ).map(tuple),
)
EVENT = st.one_of(
    CLIP,
    st.builds(Shown, index=st.integers(0), height=st.integers(1), width=st.integers(1), rgb=st.none() | st.binary()),
    st.builds(Progress, frames=st.integers(0), clips=st.integers(0)),
    st.builds(
        Opened,
        duration=st.none() | st.floats(0, 10**6),
        resolution=st.tuples(st.integers(1), st.integers(1)),
        fps=st.floats(0.001, 1000),
        codec=st.text(),
        has_audio=st.booleans(),
    ),
    st.builds(Ended, clips=st.integers(0), frames=st.integers(0), duration=st.none(), message=st.none() | st.text()),
)


@settings(deadline=None)
@given(events=st.lists(EVENT, max_size=4), size=st.integers(1, 700))
def test_events_come_back_from_any_pieces(events: list[Event], size: int) -> None:
    data = b"".join(part for event in events for part in pack(event))
    buffer, found = bytearray(), []
    for first in range(0, len(data), size):
        buffer += data[first : first + size]
        found += unpack(buffer)
    assert found == events and not buffer


def test_nonsense_is_refused() -> None:
    backwards = b'{"event": "Progress", "frames": 1, "clips": 0, "blobs": [-64]}'
    endless = b'{"event": "Progress", "frames": 1, "clips": 0, "blobs": [1000000000000]}'
    for nonsense in (
        b"\xff\xff\xff\xff....",
        b"\x04\x00\x00\x00oops",
        *(len(head).to_bytes(4, "little") + head for head in (backwards, endless)),
    ):
        with pytest.raises(ValueError):
            list(unpack(bytearray(nonsense)))
