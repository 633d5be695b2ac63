"""First guesses against poses that are known."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

torch = pytest.importorskip("torch")
pytest.importorskip("roma")

from operators.pose.fitting import initial_pose  # noqa: E402
from operators.pose.fitting.anchors import body_points  # noqa: E402
from operators.pose.fitting.body_fit import PALMS  # noqa: E402
from operators.pose.fitting.observations import batch, read_observations  # noqa: E402
from operators.pose.fitting.proportions import generic_proportions  # noqa: E402
from operators.pose.fitting.rotations import angles_between, matrices  # noqa: E402
from operators.pose.skeleton import JOINT, REST_JOINTS  # noqa: E402
from tests.posed_landmarks import PICTURE, scene, turns  # noqa: E402


def test_a_moment_gives_the_rotation_of_matched_points():
    torch.manual_seed(0)
    rest, turn = torch.randn(7, 3), matrices(torch.tensor([0.3, -1.2, 0.8]))
    points = rest @ turn.T + torch.tensor([5.0, -2.0, 1.0])
    weight = torch.rand(7)
    weight[3], points[3] = 0, 100.0
    found = initial_pose.nearest(initial_pose.moment(points, rest, weight))
    torch.testing.assert_close(found, turn, atol=1e-4, rtol=0)


def test_a_place_is_found_from_rays():
    points, place = torch.randn(6, 3), torch.tensor([0.2, -0.1, 2.5])
    there = points + place
    weight = torch.ones(6)
    weight[2] = 0
    rays = there[:, :2] / there[:, 2:]
    rays[2] = 9.0
    torch.testing.assert_close(initial_pose.place(points, rays, weight), place, atol=1e-3, rtol=0)
    nowhere = initial_pose.place(points, rays, torch.zeros(6))
    torch.testing.assert_close(nowhere, torch.tensor([0.0, 0.0, initial_pose.FAR]))


def test_values_are_filled_along_time_and_held_at_the_ends():
    values = torch.tensor([9.0, 1.0, 9.0, 9.0, 4.0, 9.0])[None, :, None]
    weight = torch.tensor([0.0, 1, 0, 0, 0.5, 0])[None]
    filled = initial_pose.along_time(values, weight)[0, :, 0]
    torch.testing.assert_close(filled, torch.tensor([1.0, 1, 2, 3, 4, 4]))
    torch.testing.assert_close(initial_pose.along_time(values, torch.zeros(1, 6)), values)


def test_the_body_starts_near_its_pose():
    true = scene(REST_JOINTS, seed=3, frames=60)
    observed = batch([read_observations(true.row, PICTURE)], [PICTURE], [25.0])
    points = body_points(generic_proportions())
    rest = REST_JOINTS[points.joint] + points.offset
    rest[PALMS] = points.offset[PALMS]
    found, place = initial_pose.body(observed, torch.tensor(rest, dtype=torch.float32))
    hips = true.joints[:, [JOINT["left_hip"], JOINT["right_hip"]]].mean(1)
    assert np.median(np.linalg.norm(place[0].numpy() - hips, axis=1)) < 0.02
    wanted = turns(true.poses)
    world = found[0].clone()
    for joint, parent in enumerate((-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)):
        if parent >= 0:
            world[:, joint] = world[:, parent] @ world[:, joint]
    for name in ("pelvis", "head", "left_wrist", "right_wrist"):
        joint = JOINT[name]
        away = angles_between(world[:, joint], torch.tensor(wanted[:, joint], dtype=torch.float32))
        assert np.degrees(float(away.median())) < 25, name
    for name in ("left_shoulder", "right_elbow", "left_knee"):  # where the bone points; its twist is open
        joint, along = JOINT[name], torch.tensor([1.0, 0, 0]) if "knee" not in name else torch.tensor([0, -1.0, 0])
        ours = world[:, joint] @ along
        theirs = torch.tensor(wanted[:, joint], dtype=torch.float32) @ along
        assert float(torch.rad2deg(torch.acos((ours * theirs).sum(-1).clamp(-1, 1))).median()) < 20, name


def test_fingers_swing_to_their_bones():
    rest = torch.tensor([1.0, 0, 0]).expand(5, 3, 3)
    bends = Rotation.from_rotvec([[0, 0, -30], [0, 0, -70], [0, 0, -100]], degrees=True).as_matrix()
    bones = torch.tensor(bends[:, :, 0], dtype=torch.float32).expand(5, 3, 3)
    found = initial_pose.fingers(bones, rest)
    angles = Rotation.from_matrix(found[2].numpy()).as_rotvec(degrees=True)
    np.testing.assert_allclose(angles, [[0, 0, -30], [0, 0, -40], [0, 0, -30]], atol=0.1)
