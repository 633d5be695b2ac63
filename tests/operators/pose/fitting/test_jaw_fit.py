"""The jaw's angle from lips that are drawn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("roma")

from operators.pose.fitting.anchors import LIPS  # noqa: E402
from operators.pose.fitting.jaw_fit import jaw_angles  # noqa: E402
from operators.pose.fitting.joint_limits import LIMITS  # noqa: E402
from operators.pose.fitting.observations import Observations, batch, read_observations  # noqa: E402
from operators.pose.fitting.rotations import matrices  # noqa: E402
from operators.pose.skeleton import JOINT, REST_JOINTS, REST_OFFSETS  # noqa: E402
from tests.posed_landmarks import PICTURE, scene  # noqa: E402

OFFSET = torch.tensor(REST_OFFSETS[JOINT["jaw"]], dtype=torch.float32)[None]
ONE = torch.ones(1)


def drawn(angles, head, depth: float = 2.0) -> Observations:
    """A clip in which the lips of the generic person are seen under the jaw's angles (T)."""
    row = scene(REST_JOINTS, seed=1, frames=len(angles)).row
    blank = batch([read_observations(row, PICTURE)], [PICTURE], [25.0])
    lips = torch.tensor(LIPS)
    lower = (
        OFFSET[0] + (matrices(torch.stack([angles, 0 * angles, 0 * angles], -1)) @ (lips - OFFSET[0])[:, None])[..., 0]
    )
    places = torch.stack([(head @ lips[:, None])[..., 0].expand(len(angles), 3), (head @ lower[..., None])[..., 0]], 1)
    places = places + torch.tensor([0.1, -0.2, depth])
    return replace(blank, lips=(places[..., :2] / places[..., 2:])[None])


def found(observed: Observations, head, *, even: bool = False, depth: float = 1.91):
    frames = observed.real.shape[1]
    turned = head.expand(1, frames, 3, 3)
    return jaw_angles(observed, turned, torch.full((1, frames), depth), ONE, OFFSET, even=even)


@pytest.mark.parametrize("yaw", [0.0, 0.5])
def test_the_opening_is_read_off_the_lips(yaw):
    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0])) @ matrices(torch.tensor([0.0, yaw, 0.0]))
    angles = torch.tensor([0.0, 0.05, 0.15, 0.3, 0.4])
    angle, known = found(drawn(angles, facing), facing)
    np.testing.assert_allclose(angle[0], angles, atol=0.04)
    assert (known > 0.8).all()


def test_a_face_that_was_not_found_says_nothing():
    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    seen = drawn(torch.full((9,), 0.3), facing)
    weight = torch.ones(1, 9)
    weight[0, 4] = 0
    angle, known = found(replace(seen, face_weight=weight), facing, even=True)
    assert known[0, 4] == 0 and known[0, 3] > 0.8
    assert angle[0, 4] == pytest.approx(float(angle[0, 3]), abs=0.05)
    alone, _ = found(replace(seen, face_weight=torch.zeros(1, 9)), facing)
    np.testing.assert_allclose(alone, LIMITS.mean[JOINT["jaw"], 0], atol=1e-6)


def test_noise_is_evened_out_over_time_and_stays_within_the_limits():
    facing = torch.diag(torch.tensor([1.0, -1.0, -1.0]))
    random = torch.Generator().manual_seed(2)
    angles = 0.2 + 0.1 * torch.sin(torch.arange(60) / 6)
    seen = drawn(angles, facing)
    noisy = replace(seen, lips=seen.lips + 0.002 * torch.randn(seen.lips.shape, generator=random))
    rough, smooth = found(noisy, facing)[0][0], found(noisy, facing, even=True)[0][0]
    assert (smooth - angles).abs().mean() < (rough - angles).abs().mean()
    assert smooth.diff().diff().abs().mean() < 0.5 * rough.diff().diff().abs().mean()
    torn = replace(seen, lips=seen.lips * torch.tensor([1.0, 40.0]))
    assert found(torn, facing)[0].max() <= LIMITS.high[JOINT["jaw"], 0]
