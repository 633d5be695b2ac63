"""Which observation is trusted how much, and where."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("roma")

from operators.pose.fitting.body_fit import FACE, PALMS, BodyFit, unevenness  # noqa: E402
from operators.pose.fitting.observations import Observations, batch, read_observations  # noqa: E402
from operators.pose.fitting.proportions import generic_proportions  # noqa: E402
from operators.pose.fitting.terms import posed  # noqa: E402
from operators.pose.skeleton import REST_JOINTS  # noqa: E402
from operators.pose.topology import BODY  # noqa: E402
from tests.posed_landmarks import PICTURE, Scene, scene  # noqa: E402


@pytest.fixture(scope="module")
def true() -> Scene:
    return scene(REST_JOINTS, seed=2, frames=10)


@pytest.fixture(scope="module")
def body() -> BodyFit:
    return BodyFit(generic_proportions(), torch.device("cpu"))


def observed(true: Scene, **columns) -> Observations:
    return batch([read_observations({**true.row, **columns}, PICTURE)], [PICTURE], [25.0])


def test_points_belong_to_the_body_to_one_palm_or_to_the_face(body, true):
    seen = observed(true)
    problem = body.problem(seen, torch.full((1, 10), 3.0), even=False)
    assert problem.clouds.sum(0).tolist() == [1.0] * len(problem.joint)
    assert problem.clouds.sum(1).tolist() == [33, 6, 6, 7]
    torch.testing.assert_close(problem.cloud[0, :, PALMS.start], seen.hand_world[0, :, 0, 0])
    torch.testing.assert_close(problem.cloud[0, :, FACE], 3 * seen.face[0])


def test_the_true_pose_lies_on_every_observation(body, true):
    start, depth = body.start(observed(true))
    nose = np.median(true.row["body_world"][:, 0, 2] + true.joints[:, [1, 2], 2].mean(1))
    assert float(depth.median()) == pytest.approx(float(nose), abs=0.05)
    problem = body.problem(observed(true), depth, even=False)
    points = posed(problem, start)[1].unflatten(0, (1, 10))
    away = (points[..., :2] / points[..., 2:] - problem.image).norm(dim=-1) * PICTURE.focal
    assert float(away.median()) < 15  # px, of a closed-form start


def test_the_hands_own_landmarks_take_over_from_the_bodys(body, true):
    presence = true.row["presence"].copy()
    presence[:, 2] = 0
    problem = body.problem(observed(true, presence=presence), torch.full((1, 10), 3.0), even=False)
    left, right, elbow = BODY["left_wrist"], BODY["right_wrist"], BODY["left_elbow"]
    weight = problem.image_weight[0, 0]
    assert weight[left] == weight[elbow] > 5 * weight[right]
    assert weight[BODY["left_index"]] < 0.5 * weight[elbow]
    assert not problem.image_weight[0, :, PALMS.start : PALMS.start + 6].any()
    assert problem.image_weight[0, :, PALMS.start + 6 : PALMS.stop].all()


def test_eyes_and_mouth_count_on_the_picture_alone(body, true):
    problem = body.problem(observed(true), torch.full((1, 10), 3.0), even=False)
    for name in ("left_eye", "right_eye_outer", "mouth_left"):
        assert not problem.cloud_weight[:, :, BODY[name]].any()
        assert problem.image_weight[:, :, BODY[name]].all()


def test_time_couples_frames_by_the_second_not_by_the_frame(true):
    seen = observed(true)
    slow = unevenness(torch.ones(3), seen)
    fast = unevenness(torch.ones(3), Observations(**{**vars(seen), "fps": 2 * seen.fps}))
    assert slow is not None and fast is not None
    torch.testing.assert_close(fast, 16 * slow)
    assert unevenness(torch.ones(3), seen.between(slice(0, 2))) is None
