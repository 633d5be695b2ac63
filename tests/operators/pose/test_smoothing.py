from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from operators.contract import Row
from operators.errors import ConfigurationError, RowFailure
from operators.pose.columns import JOINTS
from operators.pose.motion.frame_spans import as_span, masked
from operators.pose.smoothing import Smoothing
from operators.tensors import GRID
from store.schema import to_table
from tests.talking_poses import talking_row
from tests.tiny.smoothnet import averaging_weights, write_smoothnet

FPS = 30.0


def noisy_row(seed: int = 0, frames: int = 300, spans: Any = None, **columns: Any) -> Row:
    clip = talking_row(frames, FPS, seed)
    rng = np.random.default_rng(seed)
    poses = Rotation.from_rotvec(clip["raw_poses"].reshape(-1, 3)) * Rotation.from_rotvec(
        rng.normal(size=(frames * JOINTS, 3)) * 0.02
    )
    clip["raw_poses"] = poses.as_rotvec().reshape(frames, JOINTS, 3).astype(np.float32)
    clip["raw_transl"] = clip["raw_transl"] + rng.normal(size=(frames, 3)).astype(np.float32) * 0.005
    spans = [(0, frames)] if spans is None else spans
    return {**clip, "usable_spans": [as_span(span, FPS) for span in spans], **columns}


def smoothed(clip: Row, **chosen: Any) -> Row:
    operator = Smoothing(Smoothing.Settings(**chosen))
    operator.setup()
    (result,) = operator.annotate([clip])
    assert isinstance(result, dict)
    to_table([result], Smoothing.writes)
    return result


def velocity_changes(poses: np.ndarray) -> float:
    before, after = (Rotation.from_rotvec(part.reshape(-1, 3)) for part in (poses[:-1], poses[1:]))
    velocity = (before.inv() * after).as_rotvec().reshape(len(poses) - 1, -1, 3)
    return float(np.linalg.norm(np.diff(velocity, axis=0), axis=2).mean())


def test_jitter_goes_from_rotations_and_place():
    clip = noisy_row()
    result = smoothed(clip)
    assert velocity_changes(result["poses"]) < velocity_changes(clip["raw_poses"]) / 5
    truth = talking_row()
    assert np.abs(result["transl"] - truth["raw_transl"]).mean() < 0.6 * 0.005
    assert result["poses"].dtype == result["transl"].dtype == np.float32
    assert np.array_equal(result["poses"] % GRID, np.zeros_like(result["poses"]))


def test_what_was_fitted_is_not_touched():
    clip = noisy_row()
    before = clip["raw_poses"].copy()
    smoothed(clip)
    assert np.array_equal(clip["raw_poses"], before)


@settings(max_examples=15, deadline=None)
@given(st.lists(st.integers(0, 300), min_size=2, max_size=6, unique=True).map(sorted), st.integers(0, 1000))
def test_a_span_is_smoothed_by_itself_and_nothing_else_is(edges: list[int], seed: int):
    spans = list(zip(edges[::2], edges[1::2], strict=False))
    clip = noisy_row(seed, spans=spans)
    result = smoothed(clip)
    outside = ~masked(spans, 300)
    assert np.array_equal(result["poses"][outside], clip["raw_poses"][outside])
    assert np.array_equal(result["transl"][outside], clip["raw_transl"][outside])
    for start, end in spans:
        alone = noisy_row(spans=[(0, end - start)], frames=end - start)
        alone |= {"raw_poses": clip["raw_poses"][start:end], "raw_transl": clip["raw_transl"][start:end]}
        part = smoothed(alone)
        assert np.array_equal(result["poses"][start:end], part["poses"])
        assert np.array_equal(result["transl"][start:end], part["transl"])


def test_a_jump_beside_a_cut_does_not_reach_across():
    clip = noisy_row(spans=[(0, 150), (150, 300)])
    clip["raw_poses"][150:, 17, 0] += 1.5
    result = smoothed(clip)
    assert np.abs(result["poses"][150:, 17, 0] - clip["raw_poses"][150:, 17, 0]).max() < 0.1


@pytest.mark.parametrize("spans", [[], None])
def test_no_span_or_no_window_leaves_all_as_fitted(spans: Any):
    clip = noisy_row(spans=spans)
    result = smoothed(clip, window=0.3 if spans == [] else 0)
    assert np.array_equal(result["poses"], clip["raw_poses"])
    assert np.array_equal(result["transl"], clip["raw_transl"])


def test_the_window_is_in_seconds():
    clip = noisy_row()
    jitters = [velocity_changes(smoothed(clip, window=window)["poses"]) for window in (0.15, 0.3, 0.7)]
    assert jitters == sorted(jitters, reverse=True)
    assert velocity_changes(smoothed({**clip, "fps": 60.0}, window=0.3)["poses"]) < jitters[1]


def test_rows_are_the_same_alone_together_and_from_storage():
    clips = [noisy_row(seed, frames) for seed, frames in ((0, 300), (1, 40), (2, 3))]
    operator = Smoothing()
    operator.setup()
    together = list(operator(clips))
    for clip, row in zip(clips, together, strict=True):
        assert row["provenance"] == {"poses": "smooth/1", "transl": "smooth/1"}
        stored = {name: value.tolist() if isinstance(value, np.ndarray) else value for name, value in clip.items()}
        for alone in (smoothed(clip), smoothed(stored)):
            assert np.array_equal(alone["poses"], row["poses"])
            assert np.array_equal(alone["transl"], row["transl"])


def test_spans_that_lie_elsewhere_fail_the_clip():
    with pytest.raises(RowFailure, match="do not lie within 40 frames"):
        smoothed(noisy_row(frames=40, spans=[(0, 41)]))
    with pytest.raises(RowFailure, match="raw_transl has 39 frames"):
        clip = noisy_row(frames=40)
        smoothed({**clip, "raw_transl": clip["raw_transl"][:39]})


def test_without_weights_it_needs_no_model_and_no_gpu():
    operator = Smoothing()
    assert operator.files() == ()
    assert operator.revision() == ""
    assert operator.resources.gpus == 0
    operator.check()
    operator.setup()
    assert pickle.loads(pickle.dumps(operator)).settings == operator.settings


def test_smoothnet_takes_the_filters_place(tmp_path: Path):
    pytest.importorskip("torch")
    path = write_smoothnet(tmp_path / "smoothnet.pt", averaging_weights(32, width=9))
    clip = noisy_row(spans=[(0, 100), (120, 140)])
    operator = Smoothing(Smoothing.Settings(weights=str(path)))
    operator.check()
    assert operator.revision().startswith(tmp_path.name)
    assert operator.fingerprint() != Smoothing().fingerprint()
    (row,) = list(_set_up(operator)([clip]))
    assert row["error"] is None
    assert row["provenance"]["poses"] == f"smooth/1@{operator.revision()}"
    assert velocity_changes(row["poses"][:100]) < velocity_changes(clip["raw_poses"][:100]) / 3
    assert np.array_equal(row["poses"][100:120], clip["raw_poses"][100:120])
    assert np.array_equal(row["transl"], smoothed(clip)["transl"])
    longer = [noisy_row(3, 200), clip, noisy_row(4, 50)]
    assert np.array_equal(list(operator(longer))[1]["poses"], row["poses"])


def test_weights_that_are_not_there_are_missed_before_the_run(tmp_path: Path):
    with pytest.raises(ConfigurationError, match=r"smooth\.weights"):
        Smoothing(Smoothing.Settings(weights=str(tmp_path / "none.pt"))).check()


def _set_up(operator: Smoothing) -> Smoothing:
    operator.setup()
    return operator
