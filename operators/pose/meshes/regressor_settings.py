"""Settings of a mesh regressor: the exported network, what it takes, and what its outputs mean."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, field_validator

from operators.contract import tuning
from operators.models.operator import ModelSettings, Precision
from operators.pose.meshes.network_outputs import PARTS, Form
from operators.video.limits import LimitSettings

Colour = tuple[float, float, float]


class DecodingSettings(LimitSettings):
    """Limits of a process that decodes one clip."""


class RegressorSettings(ModelSettings):
    """The exported network, what it takes, and what its outputs mean."""

    precision: Precision = Field(
        default="float32", description="number format of TorchScript; ONNX runs as it was exported"
    )
    batch: int = tuning(4, ge=1, le=256, description="clips that are gathered for the model")
    frames: int = tuning(64, ge=1, le=4096, description="crops that the network sees at once")
    readers: int = tuning(2, ge=1, le=64, description="processes that decode frames while the network works")
    decoding: DecodingSettings = tuning(DecodingSettings(), description="limits of the decoding processes")
    model: str = Field(
        default="", description="the exported network: its .onnx, .pt, .ts or .torchscript file, or the folder with it"
    )
    body_model: str | None = Field(
        default=None, description="SMPL-X file (.npz) for the joints of the network's shape; generic bones without it"
    )
    input_size: tuple[int, int] = Field(default=(256, 256), description="height and width of the network's crops, px")
    margin: float = Field(default=1.25, ge=1, le=4, description="how much longer a crop is than the person's box")
    channels: Literal["rgb", "bgr"] = Field(default="rgb", description="order of the network's colours")
    mean: Colour = Field(default=(0.485, 0.456, 0.406), description="taken off the channels, which are 0 to 1")
    std: Colour = Field(default=(0.229, 0.224, 0.225), description="that the channels are divided by then")
    intrinsics: bool = Field(default=False, description="the network takes the crops' cameras as a second input")
    output_names: tuple[str, ...] = Field(
        default=(), description="names of a TorchScript module's outputs, where it gives a tuple"
    )
    outputs: dict[str, str] = Field(
        default={}, description="part → output, where an output is not named as its part: body_pose, betas, camera, …"
    )
    rotations: Form = Field(default="axis_angle", description="form of the network's rotations")
    forms: dict[str, Form] = Field(default={}, description="part → form, for parts that differ from `rotations`")
    hands: Literal["own", "relative"] = Field(
        default="own", description="hand poses are rotations of their own, or relative to body_model's mean hands"
    )
    orientation: Literal["crop", "camera"] = Field(
        default="crop", description="global_orient is against the line of sight of the crop, or the camera's axis"
    )
    crop_focal: float = Field(
        default=5000.0, gt=0, le=1e6, description="focal length that crop_transl is for, in the network's pixels"
    )
    focal: float = Field(
        default=1.2, gt=0.1, le=100, description="focal length of the video's camera, in longer sides of its picture"
    )
    pelvis: tuple[float, float, float] = Field(
        default=(0.0, -0.35, 0.01),
        description="metres, where the pelvis stands in the network's rest pose; body_model says it where it is given",
    )

    @field_validator("input_size")
    @classmethod
    def _sizes(cls, value: tuple[int, int]) -> tuple[int, int]:
        if not all(16 <= side <= 2048 for side in value):
            raise ValueError("each side of the crops must have 16 to 2048 px")
        return value

    @field_validator("std")
    @classmethod
    def _divisors(cls, value: Colour) -> Colour:
        if not all(part > 0 for part in value):
            raise ValueError("each of the three must be above 0")
        return value

    @field_validator("outputs", "forms")
    @classmethod
    def _parts(cls, value: dict[str, str]) -> dict[str, str]:
        if strangers := sorted(set(value) - set(PARTS)):
            raise ValueError(f"{', '.join(strangers)} is no part of a body; parts are {', '.join(PARTS)}")
        return value
