"""Columns of gesture clips beside the standard ones: units, shapes and meaning.

Per-frame columns have T rows on one clock: frame k shows the time k / `fps` seconds after the clip's
start, and the audio, words and phonemes count from the same start. Shares are of the displayed picture,
x to the right and y down. Left and right are the person's own. Axis-angle rotations are in radians, in
SMPL-X's joint order; see docs/gestures.md for the frames of reference.
"""

from __future__ import annotations

import pyarrow as pa

from operators.tensors import per_frame

BODY_POINTS = 33  # MediaPipe's pose landmarks
HAND_POINTS = 21
FACE_POINTS = 68  # of MediaPipe's 478; operators/pose/topology.py says which
BLENDSHAPES = 52  # ARKit's, from MediaPipe's official bundle
JOINTS = 55  # SMPL-X

SPAN = pa.struct(
    [("start_frame", pa.int32()), ("end_frame", pa.int32()), ("start", pa.float32()), ("end", pa.float32())]
)
"""Frames [start_frame, end_frame) and the same in seconds from the clip's start."""

STRUCTS = {
    "phoneme": pa.struct(
        [("phoneme", pa.string()), ("start", pa.float32()), ("end", pa.float32()), ("word", pa.int32())]
    ),
    "turn": pa.struct([("speaker", pa.string()), ("start", pa.float32()), ("end", pa.float32())]),
    "camera": pa.struct(
        [
            ("focal", pa.float32()), ("centre_x", pa.float32()), ("centre_y", pa.float32()),
            ("width", pa.int32()), ("height", pa.int32()),
        ]
    ),
    "gate": pa.struct([("gate", pa.string()), ("joint", pa.string()), ("value", pa.float32()), *SPAN]),
}  # fmt: skip


def _field(name: str, kind: pa.DataType, unit: str, doc: str, source: str = "") -> pa.Field:
    return pa.field(name, kind, metadata={"unit": unit, "doc": doc, "source": source})


_half, _single = pa.float16(), pa.float32()

PEOPLE = (
    _field("person", pa.string(), "", "whom the row is about: only | left | right (of two, as the viewer sees them)"),
    _field("partner_clip_id", pa.string(), "", "the row of the other one of two people; null with one"),
    _field("speaker_id", pa.string(), "", "the same for the same person in all clips of a video"),
    _field("track_times", pa.list_(pa.float64()), "s", "presentation times at which people were looked for"),
    _field("track_boxes", per_frame(_single, 4), "share", "x, y, width, height of the person at those times; 0: away"),
    _field("face_share", _single, "0–1", "share of those times at which the person's face is seen"),
    _field("upper_body_share", _single, "0–1", "share at which shoulders, elbows and head are in view"),
    _field("hands_share", _single, "0–1", "share at which at least one wrist is in view"),
)

LANDMARKS = (
    _field("fps", pa.float64(), "1/s", "frames per second of all per-frame columns"),
    _field("frame_count", pa.int32(), "frame", "T, the rows of all per-frame columns"),
    _field("crop", pa.list_(_single), "share", "part of the picture that was looked at: x, y, width, height"),
    _field("body_landmarks", per_frame(_half, BODY_POINTS, 4), "share", "x, y, z (as x), visibility 0–1"),
    _field("body_world", per_frame(_half, BODY_POINTS, 3), "m", "about the middle of the hips; x right, y down"),
    _field("hand_landmarks", per_frame(_half, 2, HAND_POINTS, 3), "share", "left hand, right hand: x, y, z (as x)"),
    _field("hand_world", per_frame(_half, 2, HAND_POINTS, 3), "m", "left, right, each about its own centre"),
    _field("face_landmarks", per_frame(_half, FACE_POINTS, 3), "share", "x, y, z (as x)"),
    _field("blendshapes", per_frame(_half, BLENDSHAPES), "0–1", "ARKit's; null without MediaPipe's own bundle"),
    _field("presence", per_frame(_half, 4), "0–1", "body, face, left, right hand; 0: not found, low: doubtful"),
)

SPEECH = (
    _field("sound", pa.binary(), "FLAC", "the clip's audio, mono, 16,000 samples per second, lossless; null if none"),
    _field("phonemes", pa.list_(STRUCTS["phoneme"]), "s", "ARPAbet, from the clip's start; `word` counts `words`"),
    _field("alignment", pa.string(), "", "what aligned words and phonemes: pocketsphinx | mfa"),
    _field("speech_snr", _single, "dB", "level of the speech over the clip's quietest tenth; null without voice"),
    _field("diarization", pa.list_(STRUCTS["turn"]), "s", "who speaks when; null without a diarization backend"),
    _field("mouth_speech", _single, "−1–1", "correlation of the mouth's opening with the voice; null if not seen"),
)

POSES = (
    _field("raw_poses", per_frame(_single, JOINTS, 3), "rad", "axis-angle as fitted, before smoothing"),
    _field("raw_transl", per_frame(_single, 3), "m", "of the root in the camera's frame, before smoothing"),
    _field("expression", pa.list_(pa.list_(_single)), "", "[T, E] coefficients of `expression_basis`"),
    _field("expression_basis", pa.string(), "", "arkit | smplx; null without an expression"),
    _field("betas", pa.list_(_single), "", "SMPL-X shape, one for the clip; null where nothing tells it"),
    _field("rest_joints", pa.list_(_single), "m", "[55 × 3] joints of the person in the rest pose"),
    _field("body_model", pa.string(), "", "generic, or the body model file's name and gender"),
    _field("camera", STRUCTS["camera"], "px", "pinhole camera of the displayed picture, one for the clip"),
    _field("pose_confidence", per_frame(_half, JOINTS), "0–1", "how well a joint's rotation is observed"),
    _field("joint_mask", per_frame(pa.bool_(), JOINTS), "", "whether a joint was observed at all in this frame"),
    _field("reprojection_error", pa.list_(_single), "share", "per frame: median distance over the person's height"),
    _field("reprojection_median", _single, "share", "median of it over the clip"),
)

GATES = (
    _field("gates", pa.list_(STRUCTS["gate"]), "", "what the gates found, where, by how much; quarantines included"),
    _field("frame_mask", pa.list_(pa.bool_()), "", "frames that passed every gate"),
    _field("usable_spans", pa.list_(SPAN), "", "runs of such frames, long enough to use"),
    _field("gesture_speed", _single, "m/s", "mean speed of the wrists relative to the shoulders"),
)

SMOOTHED = (
    _field("poses", per_frame(_single, JOINTS, 3), "rad", "axis-angle, smoothed within usable spans"),
    _field("transl", per_frame(_single, 3), "m", "of the root in the camera's frame, smoothed likewise"),
)

GESTURES: tuple[pa.Field, ...] = (*PEOPLE, *LANDMARKS, *SPEECH, *POSES, *GATES, *SMOOTHED)

_BY_NAME = {field.name: field for field in GESTURES}


def select(*names: str) -> pa.Schema:
    """The gesture fields of these names, as an operator's `writes`. Raises `KeyError` for a name that is none."""
    return pa.schema([_BY_NAME[name] for name in names])
