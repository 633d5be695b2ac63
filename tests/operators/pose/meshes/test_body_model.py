"""The body model: joints of shapes, and meshes that are those of the `smplx` library itself."""

from __future__ import annotations

import pickle
import shutil
import time

import numpy as np
import pytest

from operators.errors import ConfigurationError
from operators.models.files import check_files, files_revision, locate
from operators.models.one_file import path_in
from operators.pose.meshes.body_model import BodyModel, body_model_files, gender_of
from operators.pose.skeleton import posed_joints
from tests.tiny.smplx_body import MARKS, SHAPE_KINDS, body_arrays, rest_joints, tips, write_smplx_body


@pytest.fixture(scope="module")
def body(smplx_body) -> BodyModel:
    return BodyModel(smplx_body)


def pose_of(frames: int, seed: int = 0, spread: float = 0.3):
    draw = np.random.default_rng(seed)
    return {
        "poses": draw.normal(0, spread, (frames, 55, 3)).astype(np.float32),
        "betas": draw.normal(0, 1, 12),
        "expression": draw.normal(0, 1, (frames, 100)).astype(np.float32),
        "transl": draw.normal(0, 1, (frames, 3)).astype(np.float32),
    }


def by_smplx(path, given, flat_hand_mean=True):
    """The same meshes and joints from the library as people use it."""
    torch, smplx = pytest.importorskip("torch"), pytest.importorskip("smplx")
    poses = torch.from_numpy(given["poses"])
    frames = len(poses)
    model = smplx.create(
        str(path), model_type="smplx", ext="npz", use_pca=False, flat_hand_mean=flat_hand_mean, num_betas=300,
        num_expression_coeffs=100, batch_size=frames,
    )  # fmt: skip
    betas = torch.zeros(frames, 300)
    betas[:, : len(given["betas"])] = torch.from_numpy(given["betas"])
    with torch.no_grad():
        out = model(
            betas=betas,
            expression=torch.from_numpy(given["expression"]),
            transl=torch.from_numpy(given["transl"]),
            global_orient=poses[:, 0],
            body_pose=poses[:, 1:22].reshape(frames, -1),
            jaw_pose=poses[:, 22],
            leye_pose=poses[:, 23],
            reye_pose=poses[:, 24],
            left_hand_pose=poses[:, 25:40].reshape(frames, -1),
            right_hand_pose=poses[:, 40:].reshape(frames, -1),
        )
    return out.vertices.numpy(), out.joints.numpy()


def test_the_synthetic_file_is_quick_small_and_always_the_same(tmp_path):
    body_arrays.cache_clear()
    begun = time.process_time()
    one = write_smplx_body(tmp_path / "one")
    assert time.process_time() - begun < 6  # some 2 s on a quiet core
    assert one.stat().st_size < 2_500_000
    body_arrays.cache_clear()
    two = write_smplx_body(tmp_path / "two")
    with np.load(one, allow_pickle=False) as a, np.load(two, allow_pickle=False) as b:
        assert a.files == b.files
        assert all(np.array_equal(a[name], b[name]) for name in a.files)


def test_the_synthetic_mesh_is_one_that_skinning_and_drawing_can_use():
    arrays = body_arrays()
    weights, faces, vertices = arrays["weights"], arrays["f"], arrays["v_template"].astype(np.float64)
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(np.unique(faces), np.arange(len(vertices)))
    corners = vertices[faces]
    volume = np.einsum("fi,fi->f", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])).sum() / 6
    assert 0.03 < volume < 0.15  # m³ of a person, overlaps counted twice; positive: triangles look outwards
    for name, place in tips().items():
        assert np.linalg.norm(vertices[MARKS[name]] - place) < 0.05


def test_smplx_finds_the_joints_where_the_file_says(smplx_body):
    still = {
        "poses": np.zeros((1, 55, 3), np.float32),
        "betas": np.zeros(1),
        "expression": np.zeros((1, 100), np.float32),
        "transl": np.zeros((1, 3), np.float32),
    }
    vertices, joints = by_smplx(smplx_body, still)
    np.testing.assert_allclose(vertices[0], body_arrays()["v_template"], atol=1e-6)
    np.testing.assert_allclose(joints[0, :55], rest_joints(), atol=1e-6)
    assert joints.shape[1] == 55 + 21 + 51  # joints, points on the mesh, landmarks of the face


def test_meshes_and_joints_are_those_of_smplx(body):
    given = pose_of(3)
    vertices, joints = by_smplx(body.path, given)
    mesh, places = body.posed(**given)
    assert mesh.dtype == places.dtype == np.float32
    np.testing.assert_allclose(mesh, vertices, atol=2e-6)
    np.testing.assert_allclose(places, joints[:, :55], atol=2e-6)
    np.testing.assert_array_equal(body.vertices(**given), mesh)


def test_the_skeleton_stands_where_the_mesh_has_its_joints(body):
    given = pose_of(4, seed=3)
    _, joints = body.posed(given["poses"], given["betas"], None, given["transl"])
    by_tree = posed_joints(given["poses"], body.rest_joints(given["betas"]), given["transl"])
    np.testing.assert_allclose(joints, by_tree, atol=5e-6)


def test_the_mean_hands_lead_to_what_smplx_does_by_default(body):
    given = pose_of(2, seed=1)
    vertices, _ = by_smplx(body.path, given, flat_hand_mean=False)
    given["poses"][:, 25:] += body.hand_means.reshape(30, 3).astype(np.float32)
    np.testing.assert_allclose(body.vertices(**given), vertices, atol=2e-6)


def test_pose_correctives_are_used(body):
    bent = np.zeros((1, 55, 3), np.float32)
    bent[0, 18] = (0, -1.5, 0)
    flat = BodyModel.__new__(BodyModel)
    flat.__dict__.update({**body.__getstate__(), "_posedirs": np.zeros_like(body._posedirs)})
    assert 0.001 < np.abs(body.vertices(bent) - flat.vertices(bent)).max() < 0.02


def test_frames_do_not_depend_on_how_many_are_posed_at_once(body):
    given = pose_of(40, seed=2)
    whole = body.vertices(**given)
    for start, stop in ((0, 1), (7, 9), (31, 34)):
        part = {name: value[start:stop] if name != "betas" else value for name, value in given.items()}
        np.testing.assert_allclose(body.vertices(**part), whole[start:stop], atol=1e-6)


def test_rest_joints_follow_the_shape(body):
    np.testing.assert_allclose(body.rest_joints(), rest_joints(), atol=1e-6)
    assert body.shape_basis_joints.shape == (55, 3, 300)
    assert body.expression_basis_joints.shape == (55, 3, 100)
    for number in range(SHAPE_KINDS):
        betas = np.zeros(SHAPE_KINDS)
        betas[number] = 2.0
        _, joints = body.posed(np.zeros((1, 55, 3)), betas)
        np.testing.assert_allclose(body.rest_joints(betas), joints[0], atol=1e-5)
    wide = np.linalg.norm(body.rest_joints([0, 0, 1])[20] - body.rest_joints([0, 0, 1])[18])
    assert wide > np.linalg.norm(rest_joints()[20] - rest_joints()[18])


def test_a_file_with_ten_coefficients_has_ten_and_ten(tmp_path):
    small = np.concatenate([body_arrays()["shapedirs"][:, :, :10], body_arrays()["shapedirs"][:, :, 300:310]], axis=2)
    body = BodyModel(write_smplx_body(tmp_path, name="SMPLX_FEMALE.npz", shapedirs=small))
    assert (body.n_betas, body.n_expressions, body.gender, body.label) == (10, 10, "female", "SMPLX_FEMALE female")
    lips = body.vertices(np.zeros((1, 55, 3)), (), [[3.0]]) - body.vertices(np.zeros((1, 55, 3)))
    assert 0.005 < np.abs(lips).max() < 0.03
    with pytest.raises(ConfigurationError, match="has 10 shape coefficients, not 11"):
        body.rest_joints(np.zeros(11))
    with pytest.raises(ConfigurationError, match="has 10 expression coefficients, not 50"):
        body.vertices(np.zeros((1, 55, 3)), (), np.zeros((1, 50)))


@pytest.mark.parametrize(
    ("name", "gender"),
    [("SMPLX_MALE", "male"), ("smplx_female_2020", "female"), ("SMPLX_NEUTRAL", "neutral"), ("my-body", "neutral")],
)
def test_the_gender_is_that_of_the_name(tmp_path, smplx_body, name, gender):
    path = tmp_path / f"{name}.npz"
    path.symlink_to(smplx_body)
    body = BodyModel(path)
    assert body.gender == gender
    assert gender_of(body.label) == gender
    assert body.revision.startswith(f"{name}@")


def test_gender_of_what_is_no_file():
    assert [gender_of(label) for label in ("generic", None, "")] == ["neutral"] * 3


@pytest.mark.parametrize(
    ("name", "change", "says"),
    [
        ("kintree_table", lambda tree: tree[:, ::-1].copy(), "hang together in another way"),
        ("f", lambda faces: faces + 5, "vertices that are not there"),
        ("weights", lambda weights: np.full_like(weights, np.nan), "weights holds numbers that are none"),
    ],
)
def test_a_body_that_makes_no_sense_is_refused(tmp_path, name, change, says):
    path = write_smplx_body(
        tmp_path, shapedirs=np.zeros((10475, 3, 20), np.float32), **{name: change(body_arrays()[name])}
    )
    with pytest.raises(ConfigurationError, match=says):
        BodyModel(path)


def test_it_travels_to_other_processes_after_use(body):
    body.vertices(np.zeros((1, 55, 3)))
    again = pickle.loads(pickle.dumps(body))
    np.testing.assert_array_equal(again.vertices(np.zeros((1, 55, 3))), body.vertices(np.zeros((1, 55, 3))))


def test_a_person_names_the_file_or_its_folder(tmp_path, smplx_body):
    for name in ("SMPLX_MALE.npz", "SMPLX_NEUTRAL.npz"):
        shutil.copy(smplx_body, tmp_path / name)
    for reference, name in (
        (str(tmp_path), "SMPLX_NEUTRAL.npz"),
        (str(tmp_path / "SMPLX_MALE.npz"), "SMPLX_MALE.npz"),
    ):
        wanted = body_model_files("lift.body_model", reference)
        check_files(wanted)
        assert path_in(locate(wanted), wanted) == tmp_path / name
    one, other = (body_model_files("lift.body_model", str(tmp_path / f"SMPLX_{g}.npz")) for g in ("MALE", "NEUTRAL"))
    assert files_revision(one) != files_revision(other)
    with pytest.raises(ConfigurationError, match=r"lift\.body_model: .*lacks SMPLX_FEMALE\.npz"):
        check_files(body_model_files("lift.body_model", str(tmp_path / "SMPLX_FEMALE.npz")))
    with pytest.raises(ConfigurationError, match="is a pickle"):
        body_model_files("lift.body_model", str(tmp_path / "SMPLX_NEUTRAL.pkl"))
