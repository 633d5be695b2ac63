"""Mesh regressors: networks that see a crop of a person and say how an SMPL-X body stands there.

The network is the user's own, exported to ONNX or TorchScript (NLF, SMPLer-X, PyMAF-X and the like; none is ours
to give). What it has to take and to give: `operators.pose.meshes.exported_network` and
`operators.pose.meshes.network_outputs`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.contract import OpenMedia, Resources, Row, Settings, is_out_of_memory
from operators.errors import ConfigurationError, ErrorKind, RowFailure
from operators.models.device import free_memory
from operators.models.files import ModelFiles
from operators.models.one_file import one_file, path_in
from operators.models.operator import ModelOperator
from operators.pose.columns import BLENDSHAPES, JOINTS
from operators.pose.lift import NO_BODY, WORST_ERROR, Lift
from operators.pose.meshes.body_model import GENERIC, BodyModel, body_model_files
from operators.pose.meshes.crop_cameras import (
    Picture,
    believable,
    from_crop_translation,
    from_weak_perspective,
    sight_turns,
)
from operators.pose.meshes.crop_stream import CropReaders, Cut, Wanted
from operators.pose.meshes.exported_network import NAMES, SUFFIXES, ExportedNetwork, Pictures, load_network
from operators.pose.meshes.joint_evidence import joints_in_view, reprojection_errors
from operators.pose.meshes.network_outputs import (
    ROTATIONS,
    VALUES,
    WHOLE,
    chosen,
    covered,
    joint_rotations,
    numbers,
)
from operators.pose.meshes.person_crops import PersonCrops, person_crops
from operators.pose.meshes.regressor_settings import RegressorSettings
from operators.pose.skeleton import REST_JOINTS
from operators.tensors import on_grid, read_tensor
from operators.video.local_media import open_local
from operators.video.span_frames import Limits

HANDS = slice(25, 55)
NO_MODEL = (
    "lift.model names no network; give one that you exported to ONNX or TorchScript (docs/gestures.md says what it "
    "must take and give), or use the preset fit"
)


@dataclass
class _Clip:
    """A clip at work: its crops, and what the network said of them, frame by frame."""

    row: Row
    crops: PersonCrops
    picture: Picture
    said: list[Mapping[str, NDArray[np.float32]]] = field(default_factory=list)


class MeshRegressor(ModelOperator):
    """SMPL-X poses from the user's network, in the columns of `Lift`.

    Each frame is cut out along the person's box, smoothed in time, on the way from the decoder; crops of several
    clips fill the network's batches, which all have the same size, so that a row does not depend on its neighbours.
    Joints that the network does not turn stay at rest and are masked, as is what landmarks say is not in view. A clip
    in none of whose frames they found a body is dropped.
    `reprojection_error` is against the landmarks. `betas` are the network's mean over the clip; the rest joints are
    theirs only with `body_model`. Nothing is smoothed here.
    """

    name = "lift"
    reads = (
        "video_path", "video_resolution", "clip_start_end_time", "clip_start_end_idx", "fps", "frame_count",
        "track_times", "track_boxes", "body_landmarks", "hand_landmarks", "face_landmarks", "presence", "blendshapes",
    )  # fmt: skip
    writes = Lift.writes
    Settings = RegressorSettings
    needs = Resources(cpus=2.0, memory_mb=6144, gpu_memory_mb=8000)

    def __init__(self, settings: Settings | None = None, *, open_media: OpenMedia | None = None) -> None:
        super().__init__(settings, open_media=open_media)
        self._frames: int = self.settings.frames

    def files(self) -> tuple[ModelFiles, ...]:
        wanted = [self._network_files] if self.settings.model else []
        if self.settings.body_model is not None:
            wanted.append(self._body_files)
        return tuple(wanted)

    @property
    def _network_files(self) -> ModelFiles:
        return one_file("lift.model", self.settings.model, suffixes=SUFFIXES, names=NAMES, beside=(".data", "_data"))

    @property
    def _body_files(self) -> ModelFiles:
        return body_model_files("lift.body_model", self.settings.body_model)

    def check(self) -> None:
        if not self.settings.model:
            raise ConfigurationError(NO_MODEL)
        if self.settings.hands == "relative" and self.settings.body_model is None:
            raise ConfigurationError(
                "lift.hands=relative needs lift.body_model, whose mean hands they are relative to"
            )
        super().check()

    def setup(self) -> None:
        self.check()
        super().setup()
        cv2.setNumThreads(1)
        settings = self.settings
        wanted = self._network_files
        self._body: BodyModel | None = None
        if settings.body_model is not None:
            self._body = BodyModel(path_in(self.located(self._body_files), self._body_files))
        pictures = Pictures(mean=settings.mean, std=settings.std, channels=settings.channels)
        self._network: ExportedNetwork = load_network(
            path_in(self.located(wanted), wanted),
            wanted.setting,
            pictures,
            self.device,
            self.precision,
            settings.output_names,
        )
        self._frames = self._network.batch or self._frames
        self._parts = self._tried()
        self._readers: CropReaders | None = None

    def _tried(self) -> dict[str, str]:
        """Which output is which part, after the network saw one black crop. Raises `ConfigurationError`."""
        height, width = self.settings.input_size
        crops = np.zeros((self._network.batch or 1, height, width, 3), np.uint8)
        camera = np.array([[width, 0, width / 2], [0, width, height / 2], [0, 0, 1]], np.float32)
        try:
            found = self._network(crops, self._given(np.repeat(camera[None], len(crops), axis=0)))
            parts = chosen(found, self.settings.outputs)
            for output in parts.values():
                if len(np.atleast_1d(found[output])) != len(crops):
                    shape = found[output].shape
                    raise RowFailure(ErrorKind.MODEL, f"{output} has shape {shape} for {len(crops)} crops")
            self._poses({part: found[output] for part, output in parts.items()})
            for part in set(VALUES) & set(parts):
                numbers(part, found[parts[part]], VALUES[part])
        except RowFailure as problem:
            raise ConfigurationError(f"lift.model: {problem}") from problem
        except Exception as problem:
            text = str(problem).strip().splitlines()[-1][:300] if str(problem).strip() else type(problem).__name__
            raise ConfigurationError(
                f"lift.model: the network cannot take a crop of {height} × {width}: {text}"
            ) from problem
        return parts

    def _given(self, cameras: NDArray[np.float32]) -> NDArray[np.float32] | None:
        return cameras if self.settings.intrinsics else None

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        results: list[Row | RowFailure | None] = [None] * len(clips)
        running: dict[int, _Clip] = {}
        for number, row in enumerate(clips):
            try:
                if nobody(row):
                    results[number] = {"drop_reason": NO_BODY}
                else:
                    running[number] = self._begun(row)
            except RowFailure as failure:
                results[number] = failure
        for number, failure in self._look(running):
            results[number] = failure
            del running[number]
        for number, clip in running.items():
            try:
                results[number] = self._columns(clip)
            except RowFailure as failure:
                results[number] = failure
        return [result for result in results if result is not None]

    def _begun(self, row: Row) -> _Clip:
        height, width = self.settings.input_size
        crops = person_crops(row, margin=self.settings.margin, aspect=width / height)
        return _Clip(
            row, crops, Picture(crops.width, crops.height, self.settings.focal * max(crops.width, crops.height))
        )

    def _look(self, running: Mapping[int, _Clip]) -> list[tuple[int, RowFailure]]:
        """Run the network over the crops of all clips; gives those that could not be read, and why."""
        failures: list[tuple[int, RowFailure]] = []
        size = self.settings.input_size
        known = {number: clip.crops.intrinsics(clip.picture.focal, size) for number, clip in running.items()}
        with closing(self._batches(running, failures)) as batches:
            for cuts in batches:
                crops = np.zeros((self._frames, *size, 3), np.uint8)
                cameras = np.repeat(np.eye(3, dtype=np.float32)[None], self._frames, axis=0)
                for place, cut in enumerate(cuts):
                    crops[place], cameras[place] = cut.crop, known[cut.number][cut.frame]
                found = self._seen(crops, self._given(cameras))
                for place, cut in enumerate(cuts):
                    said = {part: found[output][place] for part, output in self._parts.items()}
                    running[cut.number].said.append(said)
        return failures

    def _batches(
        self, running: Mapping[int, _Clip], failures: list[tuple[int, RowFailure]]
    ) -> Generator[list[Cut], None, None]:
        if self._readers is None:
            limits = Limits(owner=f"{self.name}.decoding", **self.settings.decoding.model_dump())
            opener = self.open_media or open_local
            self._readers = CropReaders(opener, limits, self.settings.readers, 2 * self._frames)
        wanted = [Wanted(number, clip.row, clip.crops) for number, clip in running.items()]
        cuts: list[Cut] = []
        with closing(self._readers.read(wanted, self.settings.input_size)) as items:
            for item in items:
                if not isinstance(item, Cut):
                    failures.append((item.number, item.failure))
                    continue
                cuts.append(item)
                if len(cuts) == self._frames:
                    yield cuts
                    cuts = []
        if cuts:
            yield cuts

    def _seen(self, crops: NDArray[np.uint8], cameras: NDArray[np.float32] | None) -> Mapping[str, Any]:
        try:
            return self._network(crops, cameras)
        except RowFailure:
            raise
        except Exception as problem:
            if is_out_of_memory(problem):
                raise
            raise RowFailure(ErrorKind.MODEL, f"{type(problem).__name__}: {problem}") from problem

    def recover(self, problem: Exception, clips: int) -> None:
        if is_out_of_memory(problem) and self._network.batch is None:
            self._frames = max(1, self._frames // 2)
        free_memory(self.device)

    def _poses(self, parts: Mapping[str, Any]) -> NDArray[np.float64]:
        turned = {part: value for part, value in parts.items() if part == WHOLE or part in ROTATIONS}
        poses = joint_rotations(turned, self.settings.rotations, self.settings.forms)
        if self.settings.hands == "relative" and self._body is not None:
            poses[:, HANDS] += self._body.hand_means.reshape(30, 3) * covered(parts)[HANDS, None]
        return poses

    def _columns(self, clip: _Clip) -> Row:
        from scipy.spatial.transform import Rotation

        parts = {part: np.stack([said[part] for said in clip.said]) for part in self._parts}
        poses = self._poses(parts)
        if self.settings.orientation == "crop":
            turns = Rotation.from_rotvec(sight_turns(clip.crops, clip.picture))
            poses[:, 0] = (turns * Rotation.from_rotvec(poses[:, 0])).as_rotvec()
        betas = numbers("betas", parts["betas"], VALUES["betas"]).mean(axis=0) if "betas" in parts else None
        rest = REST_JOINTS if self._body is None else self._body.rest_joints(() if betas is None else betas)
        root = self._root(parts, rest, clip)
        if not (near := believable(root)).any():
            raise RowFailure(
                ErrorKind.MODEL, "the network puts the person nowhere before the camera; check its outputs"
            )
        seen = clip.crops.seen & near
        at = np.arange(len(root))
        root = np.stack([np.interp(at, at[near], root[near, axis]) for axis in range(3)], axis=1)
        transl = root - rest[0]
        confidence = self._confidence(clip.row, parts, seen)
        errors = self._errors(clip, poses, rest, transl)
        return {
            "raw_poses": on_grid(poses),
            "raw_transl": on_grid(transl),
            **_expression(clip.row, parts),
            "betas": None if betas is None else betas.astype(np.float32).tolist(),
            "rest_joints": rest.astype(np.float32).ravel().tolist(),
            "body_model": GENERIC if self._body is None else self._body.label,
            "camera": {
                "focal": clip.picture.focal,
                "centre_x": clip.picture.width / 2,
                "centre_y": clip.picture.height / 2,
                "width": clip.picture.width,
                "height": clip.picture.height,
            },
            "pose_confidence": confidence.astype(np.float16),
            "joint_mask": confidence > 0,
            **errors,
        }

    def _root(self, parts: Mapping[str, Any], rest: NDArray[np.float64], clip: _Clip) -> NDArray[np.float64]:
        pelvis = np.array(self.settings.pelvis) if self._body is None else rest[0]
        if "transl" in parts:
            return numbers("transl", parts["transl"], (3,)) + pelvis
        if "crop_transl" in parts:
            there = numbers("crop_transl", parts["crop_transl"], (3,))
            width = self.settings.input_size[1]
            return from_crop_translation(there, pelvis, self.settings.crop_focal, width, clip.crops, clip.picture)
        return from_weak_perspective(numbers("camera", parts["camera"], (3,)), pelvis, clip.crops, clip.picture)

    def _confidence(self, row: Row, parts: Mapping[str, Any], seen: NDArray[np.bool_]) -> NDArray[np.float64]:
        """The network's own where it says any, and what landmarks leave of it; 0 for joints that nobody turned."""
        confidence = np.ones((len(seen), JOINTS))
        if "confidence" in parts:
            confidence *= np.clip(numbers("confidence", parts["confidence"], VALUES["confidence"]), 0, 1)
        if row.get("body_landmarks") is not None:
            confidence *= joints_in_view(row)
        return confidence * covered(parts) * seen[:, None]

    def _errors(
        self, clip: _Clip, poses: NDArray[np.float64], rest: NDArray[np.float64], transl: NDArray[np.float64]
    ) -> Row:
        if clip.row.get("body_landmarks") is None:
            return {"reprojection_error": None, "reprojection_median": None}
        errors = reprojection_errors(clip.row, poses, rest, transl, clip.picture)
        known = errors[np.isfinite(errors)]
        if not known.size:
            return {"reprojection_error": None, "reprojection_median": None}
        shown = np.where(np.isfinite(errors), errors, 0.0)
        return {
            "reprojection_error": np.minimum(shown, WORST_ERROR).astype(np.float32).tolist(),
            "reprojection_median": float(np.median(known)),
        }


def nobody(row: Row) -> bool:
    """Whether the landmarks were looked for and found no body in any frame."""
    return row.get("body_landmarks") is not None and not (read_tensor(row, "presence", 4)[:, 0] > 0).any()


def _expression(row: Row, parts: Mapping[str, Any]) -> Row:
    """The network's expression, else the landmarks' blendshapes."""
    if "expression" in parts:
        found = numbers("expression", parts["expression"], VALUES["expression"])
        return {"expression": found.astype(np.float32), "expression_basis": "smplx"}
    if row.get("blendshapes") is not None:
        found = read_tensor(row, "blendshapes", BLENDSHAPES)
        return {"expression": np.nan_to_num(found).astype(np.float32), "expression_basis": "arkit"}
    return {"expression": None, "expression_basis": None}
