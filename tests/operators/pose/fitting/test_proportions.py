"""Rest skeletons of scales and of betas."""

from __future__ import annotations

import numpy as np
import pytest

from operators.pose.fitting.proportions import BODY_GROUPS, GROUPS, generic_proportions, model_proportions
from operators.pose.meshes.body_model import BodyModel
from operators.pose.skeleton import JOINT, REST_JOINTS, REST_OFFSETS, joints_from_offsets
from tests.tiny.smplx_body import write_smplx_body


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> BodyModel:
    return BodyModel(write_smplx_body(tmp_path_factory.mktemp("body")))


def test_every_bone_belongs_to_one_limb():
    joints = sorted(joint for group in GROUPS.values() for joint in group)
    assert joints == list(range(1, 55))


def test_a_scale_lengthens_its_limb_alone():
    generic = generic_proportions()
    scales = np.zeros(len(BODY_GROUPS))
    scales[BODY_GROUPS.index("forearms")] = 0.1
    rest = joints_from_offsets(generic.offsets + generic.basis @ scales)
    lengths = np.linalg.norm((rest - REST_JOINTS)[[JOINT["left_elbow"], JOINT["left_wrist"]]], axis=1)
    np.testing.assert_allclose(lengths, [0, 0.0248], atol=1e-9)
    np.testing.assert_allclose(generic.offsets, REST_OFFSETS)


def test_people_differ_in_size_more_than_in_proportion():
    generic = generic_proportions()
    covariance = np.linalg.inv(generic.precision)
    assert 0.1 < np.sqrt(covariance[0, 0]) < 0.2
    assert covariance[0, 1] / covariance[0, 0] > 0.5


def test_betas_move_the_joints_as_the_model_says(model):
    ours = model_proportions(model)
    betas = np.random.default_rng(1).normal(size=ours.precision.shape[0])
    np.testing.assert_allclose(
        joints_from_offsets(ours.offsets + ours.basis @ betas), model.rest_joints(betas), atol=1e-9
    )


@pytest.mark.parametrize("kind", ["generic", "model"])
def test_the_change_of_a_limbs_size_is_its_derivative(model, kind):
    ours = generic_proportions() if kind == "generic" else model_proportions(model)
    step = 1e-6
    for group in ("head", "feet", "trunk"):
        joints = list(GROUPS[group])
        generic = np.linalg.norm(REST_OFFSETS[joints], axis=1).sum()
        size, change = ours.group_scale(group)
        for column in range(ours.basis.shape[-1]):
            moved = (ours.offsets + step * ours.basis[..., column])[joints]
            expected = (np.linalg.norm(moved, axis=1).sum() / generic - size) / step
            assert change[column] == pytest.approx(expected, abs=1e-4)
