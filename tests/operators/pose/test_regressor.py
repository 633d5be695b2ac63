"""Mesh regressors on real media: tiny networks that read a marker, through the very code that reads people."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from operators.contract import Media
from operators.errors import ConfigurationError
from operators.pose.columns import BODY_POINTS, FACE_POINTS, HAND_POINTS
from operators.pose.meshes.body_model import BodyModel
from operators.pose.meshes.crop_cameras import Picture, sight_turns
from operators.pose.meshes.person_crops import person_crops
from operators.pose.meshes.regressor_settings import RegressorSettings
from operators.pose.regressor import MeshRegressor
from operators.pose.skeleton import REST_JOINTS
from operators.tensors import GRID, read_tensor
from store.schema import check_row
from tests.tiny.regressor import SCALE, offsets, weights, write_onnx, write_torchscript

torch = pytest.importorskip("torch", reason="the models extra is not installed")

WIDTH, HEIGHT, FPS, FRAMES = 320, 240, 25, 20
BOX = (0.3, 0.1, 0.4, 0.8)
PLAIN: dict[str, Any] = {
    "input_size": (64, 64),
    "mean": (0.0, 0.0, 0.0),
    "std": (1.0, 1.0, 1.0),
    "pelvis": (0.0, 0.0, 0.0),
    "device": "cpu",
    "frames": 8,
}


def marker(frame: int, phase: float = 0.0) -> np.ndarray:
    """Where the bright spot is in a frame, pixels."""
    turn = 2 * np.pi * frame / FRAMES + phase
    return np.array([160 + 40 * np.cos(turn), 120 + 60 * np.sin(turn)])


def write_film(path: Path, phase: float = 0.0) -> Path:
    """Twenty frames of a bright soft spot that goes round on a dark ground."""
    y, x = np.mgrid[:HEIGHT, :WIDTH] + 0.5
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream("libx264", FPS, options={"crf": "10", "g": "5"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.codec_context.thread_count = 1
        for frame in range(FRAMES):
            u, v = marker(frame, phase)
            spot = 255 * np.exp(-((x - u) ** 2 + (y - v) ** 2) / (2 * 12.0**2))
            picture = np.repeat(np.clip(spot, 5, 255).astype(np.uint8)[..., None], 3, axis=2)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="module")
def films(tmp_path_factory) -> list[Path]:
    folder = tmp_path_factory.mktemp("films")
    return [write_film(folder / f"{n}.mp4", phase) for n, phase in enumerate((0.0, 1.0, 2.5))]


@pytest.fixture(scope="module")
def network(tmp_path_factory) -> Path:
    return write_torchscript(tmp_path_factory.mktemp("network") / "marker.ts")


@contextmanager
def open_media(uri: str) -> Iterator[Media]:
    path = Path(uri)
    yield Media(path=path, size=path.stat().st_size if path.exists() else 0, etag="e")


def row(path: Path, index: int = 0, **columns: Any) -> dict[str, Any]:
    """A clip of a film whose landmarks fill `BOX`; wrists, elbows and the rest are all in view."""
    draw = np.random.default_rng(index)
    places = draw.uniform(0, 1, (BODY_POINTS, 2))
    places[:2] = (0, 0), (1, 1)
    places[[11, 12], 1] = 0  # shoulders as high as the nose: no head above the box
    body = np.zeros((FRAMES, BODY_POINTS, 4), np.float16)
    body[..., :2] = np.array(BOX[:2]) + places * BOX[2:]
    body[..., 3] = 0.9
    presence = np.zeros((FRAMES, 4), np.float16)
    presence[:, :3] = 0.9
    hands = np.full((FRAMES, 2, HAND_POINTS, 3), 0.5, np.float16)
    return {
        "record": "clip",
        "error": None,
        "drop_reason": None,
        "provenance": {},
        "video_id": "v",
        "clip_id": f"v_{index:07d}",
        "clip_index": index,
        "video_path": str(path),
        "video_resolution": [HEIGHT, WIDTH],
        "clip_start_end_time": [0.0, FRAMES / FPS],
        "clip_start_end_idx": [0, FRAMES],
        "fps": float(FPS),
        "frame_count": FRAMES,
        "track_times": [0.0, 0.4, 0.8],
        "track_boxes": np.array([BOX] * 3, np.float32),
        "body_landmarks": body,
        "hand_landmarks": hands,
        "face_landmarks": np.full((FRAMES, FACE_POINTS, 3), 0.5, np.float16),
        "presence": presence,
        "blendshapes": None,
        **columns,
    }


def operator(model: Path | str, **settings: Any) -> MeshRegressor:
    made = MeshRegressor(RegressorSettings(**{**PLAIN, "model": str(model), **settings}), open_media=open_media)
    made.setup()
    return made


def annotated(made: MeshRegressor, *rows: dict[str, Any]) -> list[dict[str, Any]]:
    found = list(made(rows))
    for result in found:
        check_row(result, made.writes)
    return found


def root_of(result: dict[str, Any]) -> np.ndarray:
    rest = np.asarray(result["rest_joints"]).reshape(55, 3)
    return read_tensor(result, "raw_transl", 3, dtype=np.float64) + rest[0]


def test_the_body_stands_on_the_marker_in_every_frame_of_the_picture(films, network):
    (found,) = annotated(operator(network), row(films[0]))
    assert found["error"] is None
    camera = found["camera"]
    picture = Picture(camera["width"], camera["height"], camera["focal"])
    assert (picture.width, picture.height, picture.focal) == (WIDTH, HEIGHT, 1.2 * WIDTH)
    drawn = picture.project(root_of(found))
    apart = np.linalg.norm(drawn - [marker(n) for n in range(FRAMES)], axis=1)
    assert apart.max() < 1.5
    assert np.median(apart) < 0.6
    crop = 0.8 * HEIGHT * 1.25
    np.testing.assert_allclose(root_of(found)[:, 2], picture.focal / (SCALE * crop / 2), rtol=1e-3)


def test_rotations_are_what_the_network_says_of_the_crop(films, network):
    clip = row(films[1], 1)
    (found,) = annotated(operator(network, orientation="camera"), clip)
    crops = person_crops(clip, margin=1.25, aspect=1.0)
    place = (np.array([marker(n, 1.0) for n in range(FRAMES)]) - crops.centres) / (crops.sizes / 2)
    poses = read_tensor(found, "raw_poses", 55, 3, dtype=np.float64)
    for part, joints in (
        ("global_orient", slice(0, 1)),
        ("body_pose", slice(1, 22)),
        ("right_hand_pose", slice(40, 55)),
    ):
        said = (place @ weights()[part] + offsets()[part]).reshape(FRAMES, -1, 3)
        turn = Rotation.from_rotvec(poses[:, joints].reshape(-1, 3)).inv() * Rotation.from_rotvec(said.reshape(-1, 3))
        assert np.degrees(turn.magnitude()).max() < 0.6
    betas = (place @ weights()["betas"]).mean(axis=0)
    np.testing.assert_allclose(found["betas"], betas, atol=0.01)
    assert found["expression_basis"] == "smplx"
    np.testing.assert_allclose(found["expression"], place @ weights()["expression"], atol=0.02)


def test_the_line_of_sight_is_taken_out_of_the_orientation(films, network):
    boxes = np.array([(0.0, 0.1, 0.4, 0.8)] * 3, np.float32)
    aside = row(films[0], track_boxes=boxes, body_landmarks=None)
    crops = person_crops(aside, margin=1.25, aspect=1.0)
    turned, plain = (
        Rotation.from_rotvec(
            read_tensor(annotated(operator(network, orientation=how), aside)[0], "raw_poses", 55, 3)[:, 0]
        )
        for how in ("crop", "camera")
    )
    expected = Rotation.from_rotvec(sight_turns(crops, Picture(WIDTH, HEIGHT, 1.2 * WIDTH)))
    assert np.degrees(expected.magnitude()).min() > 10
    assert (expected * plain * turned.inv()).magnitude().max() < 1e-3


def test_onnx_and_torchscript_agree(films, network, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    (one,) = annotated(operator(network), row(films[0]))
    (two,) = annotated(operator(write_onnx(tmp_path / "marker.onnx")), row(films[0]))
    (fixed,) = annotated(operator(write_onnx(tmp_path / "seven.onnx", batch=7)), row(films[0]))
    for other in (two, fixed):
        np.testing.assert_allclose(other["raw_poses"], one["raw_poses"], atol=2 * GRID)
        np.testing.assert_allclose(other["raw_transl"], one["raw_transl"], atol=2 * GRID)


def test_rows_do_not_depend_on_how_they_are_batched(films, network):
    clips = [row(film, index) for index, film in enumerate(films)]
    made = operator(network, frames=8)
    together = annotated(made, *clips)
    alone = [annotated(made, clip)[0] for clip in clips]
    other = annotated(operator(network, frames=13, batch=2, readers=1), *clips[::-1])[::-1]
    for first, second, third in zip(together, alone, other, strict=True):
        for column in ("raw_poses", "raw_transl", "pose_confidence", "joint_mask"):
            np.testing.assert_array_equal(first[column], second[column])
            np.testing.assert_allclose(
                np.asarray(first[column], np.float64), np.asarray(third[column], np.float64), atol=2 * GRID
            )


def test_a_film_that_cannot_be_read_fails_alone(films, network, tmp_path):
    (tmp_path / "bad.mp4").write_bytes(b"no film")
    clips = [row(films[0], 0), row(tmp_path / "bad.mp4", 1), row(films[1], 2), row(tmp_path / "gone.mp4", 3)]
    made = operator(network)
    found = annotated(made, *clips)
    assert [result["error"] and result["error"]["kind"] for result in found] == [
        None,
        "unreadable",
        None,
        "unreadable",
    ]
    np.testing.assert_array_equal(found[2]["raw_poses"], annotated(made, clips[2])[0]["raw_poses"])


def test_a_film_that_ends_early_fails_alone(films, network):
    longer = row(films[0], 0, frame_count=30, clip_start_end_time=[0.0, 1.2], clip_start_end_idx=[0, 30])
    for name in ("body_landmarks", "hand_landmarks", "face_landmarks", "presence"):
        longer[name] = np.concatenate([longer[name], longer[name][:10]])
    found = annotated(operator(network), longer, row(films[1], 1))
    assert found[0]["error"]["kind"] == "decode"
    assert found[1]["error"] is None


def test_frames_and_columns_that_do_not_agree_fail_alone(films, network):
    shorter = row(films[0], 0, frame_count=15)
    for name in ("body_landmarks", "hand_landmarks", "face_landmarks", "presence"):
        shorter[name] = shorter[name][:15]
    found = annotated(operator(network), shorter, row(films[1], 1))
    assert "more frames than frame_count says, 15" in found[0]["error"]["message"]
    assert found[1]["error"] is None


def test_outputs_that_are_no_numbers_fail_their_clip_alone(films, tmp_path):
    """The first marker goes further right in its crop than the broken network can bear; the second stays left."""
    broken = write_torchscript(tmp_path / "broken.ts", broken_at=0.3)
    boxes = np.array([(0.5, 0.1, 0.5, 0.8)] * 3, np.float32)
    right = row(films[1], 1, track_boxes=boxes, body_landmarks=None)
    found = annotated(operator(broken), row(films[0], 0), right)
    assert found[0]["error"] == {
        "operator": "lift", "kind": "model", "message": "body_pose holds numbers that are none; set precision=float32",
    }  # fmt: skip
    assert found[1]["error"] is None


def test_a_clip_without_a_body_is_dropped_and_the_others_are_not(films, network):
    empty = row(films[0])
    empty["presence"][:, 0] = 0
    found = annotated(operator(network), empty, row(films[1], 1))
    assert [result["drop_reason"] for result in found] == ["no_body", None]
    assert "raw_poses" not in found[0]


def test_confidence_and_mask_follow_landmarks_and_parts(films, network, tmp_path):
    clip = row(films[0])
    clip["presence"][4:6] = 0
    (found,) = annotated(operator(network), clip)
    mask, confidence = found["joint_mask"], found["pose_confidence"]
    assert mask.shape == confidence.shape == (FRAMES, 55)
    assert not mask[4:6].any()
    assert mask[0, :40].all()
    assert not mask[:, 40:].any()  # the right hand is not there
    np.testing.assert_allclose(confidence[0, 25:40], 0.9, atol=0.01)
    three = write_torchscript(tmp_path / "three.pt", form="tuple")
    names = ("global_orient", "body_pose", "camera")
    (bare,) = annotated(operator(three, output_names=names), row(films[0], blendshapes=np.full((FRAMES, 52), 0.25)))
    assert not bare["joint_mask"][:, 22:].any()
    assert not np.asarray(bare["raw_poses"])[:, 22:].any()
    assert bare["betas"] is None
    assert bare["expression_basis"] == "arkit"
    assert np.asarray(bare["expression"]).shape == (FRAMES, 52)


def test_reprojection_is_told_against_the_landmarks(films, network):
    (found,) = annotated(operator(network), row(films[0]))
    assert len(found["reprojection_error"]) == FRAMES
    assert found["reprojection_median"] == pytest.approx(np.median(found["reprojection_error"]))
    (without,) = annotated(operator(network), row(films[0], body_landmarks=None))
    assert without["reprojection_error"] is None
    assert without["error"] is None


def test_with_a_body_model_joints_are_those_of_the_shape(films, network, smplx_body):
    made = operator(network, body_model=str(smplx_body), hands="relative")
    (found,) = annotated(made, row(films[0]))
    body = BodyModel(smplx_body)
    assert found["body_model"] == "SMPLX_NEUTRAL neutral"
    rest = np.asarray(found["rest_joints"]).reshape(55, 3)
    np.testing.assert_allclose(rest, body.rest_joints(found["betas"]), atol=1e-6)
    plain = annotated(operator(network), row(films[0]))[0]
    added = np.asarray(found["raw_poses"])[:, 25:] - np.asarray(plain["raw_poses"])[:, 25:]
    np.testing.assert_allclose(added, np.tile(body.hand_means.reshape(1, 30, 3), (FRAMES, 1, 1)), atol=2 * GRID)
    assert plain["body_model"] == "generic"
    np.testing.assert_allclose(np.asarray(plain["rest_joints"]).reshape(55, 3), REST_JOINTS, atol=1e-6)
    assert made.revision().count("@") == 2


def test_the_files_bytes_are_in_the_fingerprint(network, tmp_path):
    one, two = (shutil.copy(network, tmp_path / f"{n}.ts") for n in "ab")
    write_torchscript(Path(two), seed=1)
    (tmp_path / "a2.ts").write_bytes(Path(one).read_bytes())
    prints = [MeshRegressor(RegressorSettings(**PLAIN, model=str(path))).fingerprint() for path in (one, two)]
    assert prints[0] != prints[1]
    tuned = RegressorSettings(**{**PLAIN, "frames": 3, "readers": 1, "batch": 9}, model=str(one))
    assert MeshRegressor(tuned).fingerprint() == prints[0]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"model": ""}, "lift.model names no network; give one that you exported"),
        ({"model": "./gone.onnx"}, r"lift\.model: .*lacks gone\.onnx"),
        ({"hands": "relative"}, r"lift\.hands=relative needs lift\.body_model"),
        ({"body_model": "./SMPLX_NEUTRAL.pkl"}, "is a pickle"),
        ({"outputs": {"betas": "shape"}}, r"lift\.model: the network has no output shape; it has betas, body_pose"),
        ({"rotations": "matrix"}, r"lift\.model: global_orient has 3 numbers a picture, not 9"),
        ({"input_size": (48, 64)}, "the network cannot take a crop of 48 × 64"),
        ({"intrinsics": True}, "the network cannot take a crop of 64 × 64"),
    ],
)
def test_wrong_settings_end_before_any_row(network, settings, says):
    with pytest.raises(ConfigurationError, match=says):
        operator(**{"model": network, **settings})


def test_no_network_is_checked_on_the_driver_and_costs_no_files():
    made = MeshRegressor(RegressorSettings())
    assert made.files() == ()
    assert made.revision() == ""
    with pytest.raises(ConfigurationError, match="or use the preset fit"):
        made.check()


def test_memory_that_runs_short_halves_the_batch(network):
    made = operator(network, frames=8)
    made.recover(RuntimeError("DefaultCPUAllocator: can't allocate memory"), 4)
    assert made._frames == 4
    made.recover(ValueError("something else"), 4)
    assert made._frames == 4
