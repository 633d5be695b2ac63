"""Known geometry: a body before a real pinhole camera, told in a network's terms, is found where it stands."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from operators.pose.meshes.crop_cameras import (
    Picture,
    believable,
    from_crop_translation,
    from_weak_perspective,
    sight_turns,
)
from operators.pose.meshes.person_crops import PersonCrops
from operators.pose.motion.plausibility import facing_angles
from operators.pose.skeleton import REST_JOINTS, posed_joints

PICTURE = Picture(1280, 720, 1100.0)
PELVIS = np.array([0.002, -0.35, 0.012])
PLACES = np.array([[0.0, 0.1, 3.0], [-0.9, 0.2, 2.5], [1.4, -0.3, 6.0], [0.5, 0.4, 1.8]])


def crops_of(places: np.ndarray = PLACES) -> PersonCrops:
    """Crops of 1.5 m around each person, their middles beside the pelvis."""
    pixels = PICTURE.project(places)
    sizes = 1.5 * PICTURE.focal / places[:, 2]
    return PersonCrops(
        centres=pixels + sizes[:, None] * [0.07, -0.1],
        sizes=np.column_stack([0.75 * sizes, sizes]),
        seen=np.ones(len(places), bool),
        width=PICTURE.width,
        height=PICTURE.height,
    )


def test_weak_perspective():
    crops = crops_of()
    scale = PICTURE.focal / PLACES[:, 2] / (crops.sizes[:, 0] / 2)  # half-widths of the crop per metre
    drawn = (PICTURE.project(PLACES) - crops.centres) / (crops.sizes[:, :1] / 2)  # of the pelvis
    camera = np.column_stack([scale, drawn / scale[:, None] - PELVIS[:2]])
    np.testing.assert_allclose(from_weak_perspective(camera, PELVIS, crops, PICTURE), PLACES, atol=1e-9)


@pytest.mark.parametrize("focal", [5000.0, 300.0])
def test_a_translation_in_the_crops_camera(focal):
    """The crop is drawn by a camera of another focal length, from where the person looks as large."""
    crops = crops_of()
    width = 192
    own = focal * crops.sizes[:, 0] / width
    depth = PLACES[:, 2] * own / PICTURE.focal
    drawn = PICTURE.project(PLACES) - crops.centres
    there = np.column_stack([drawn * (depth / own)[:, None], depth])
    found = from_crop_translation(there - PELVIS, PELVIS, focal, width, crops, PICTURE)
    np.testing.assert_allclose(found, PLACES, atol=1e-9)


def test_the_whole_body_is_drawn_where_the_network_drew_it():
    """All joints, weak perspective against the pinhole: apart by what the depth of the body is of its distance."""
    draw = np.random.default_rng(0)
    rest = REST_JOINTS + PELVIS
    poses = draw.normal(0, 0.2, (len(PLACES), 55, 3))
    poses[:, 0] = [np.pi, 0, 0]
    crops = crops_of()
    body = posed_joints(poses, rest)  # about the network's origin
    scale = PICTURE.focal / PLACES[:, 2] / (crops.sizes[:, 0] / 2)
    shift = (PICTURE.project(PLACES) - crops.centres) / (crops.sizes[:, :1] / 2) / scale[:, None] - PELVIS[:2]
    by_network = (body[..., :2] + shift[:, None]) * scale[:, None, None] * crops.sizes[:, None, :1] / 2
    root = from_weak_perspective(np.column_stack([scale, shift]), PELVIS, crops, PICTURE)
    ours = PICTURE.project(posed_joints(poses, rest, root - rest[0]))
    apart = np.linalg.norm(ours - (by_network + crops.centres[:, None]), axis=2)
    stature = 1.7 * PICTURE.focal / PLACES[:, 2]
    assert np.median(apart / stature[:, None]) < 0.02
    np.testing.assert_allclose(apart[:, 0], 0, atol=1e-6)


def test_a_body_that_faces_its_crops_middle_faces_the_camera():
    crops = crops_of()
    poses = np.zeros((len(PLACES), 55, 3))
    poses[:, 0] = [np.pi, 0, 0]
    middle = PICTURE.place(crops.centres, PLACES[:, 2])
    before = facing_angles(poses, middle, REST_JOINTS)
    poses[:, 0] = (Rotation.from_rotvec(sight_turns(crops, PICTURE)) * Rotation.from_rotvec(poses[:, 0])).as_rotvec()
    after = facing_angles(poses, middle, REST_JOINTS)
    assert before[1] > 15
    np.testing.assert_allclose(after, 0, atol=1e-5)


def test_no_turn_in_the_middle_of_the_picture():
    crops = PersonCrops(
        centres=PICTURE.middle[None], sizes=np.full((1, 2), 99.0), seen=np.ones(1, bool), width=1280, height=720
    )
    np.testing.assert_array_equal(sight_turns(crops, PICTURE), np.zeros((1, 3)))


def test_places_that_no_person_can_be_at():
    crops = crops_of()
    camera = np.array([[0.0, 0, 0], [-1.0, 0, 0], [1e-9, 0, 0], [0.8, 0.1, 0.1]])
    places = from_weak_perspective(camera, PELVIS, crops, PICTURE)
    assert believable(places).tolist() == [False, False, False, True]
