"""Names, order and connections of the landmarks that gesture clips carry.

Body and hands are MediaPipe's own 33 and 21 points. Of MediaPipe's 478 face points the 68 are kept that
stand nearest to the 68 of the iBUG 300-W annotation, in its order, so that what is written about those
(jaw line, mouth opening, head pose) applies. Left and right are the person's own.
"""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType

BODY_NAMES = (
    "nose",
    "left_eye_inner", "left_eye", "left_eye_outer", "right_eye_inner", "right_eye", "right_eye_outer",
    "left_ear", "right_ear", "mouth_left", "mouth_right",
    "left_shoulder", "right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist",
    "left_pinky", "right_pinky", "left_index", "right_index", "left_thumb", "right_thumb",
    "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
    "left_heel", "right_heel", "left_foot_index", "right_foot_index",
)  # fmt: skip
"""MediaPipe's pose landmarks. Pinky, index and thumb are knuckles of the hand."""

BODY = MappingProxyType({name: index for index, name in enumerate(BODY_NAMES)})

BODY_CONNECTIONS = (
    (0, 1), (1, 2), (2, 3), (3, 7), (0, 4), (4, 5), (5, 6), (6, 8), (9, 10),
    (11, 12), (11, 23), (12, 24), (23, 24),
    (11, 13), (13, 15), (15, 17), (15, 19), (15, 21), (17, 19),
    (12, 14), (14, 16), (16, 18), (16, 20), (16, 22), (18, 20),
    (23, 25), (25, 27), (27, 29), (27, 31), (29, 31),
    (24, 26), (26, 28), (28, 30), (28, 32), (30, 32),
)  # fmt: skip

HAND_NAMES = (
    "wrist",
    "thumb_cmc", "thumb_mcp", "thumb_ip", "thumb_tip",
    "index_mcp", "index_pip", "index_dip", "index_tip",
    "middle_mcp", "middle_pip", "middle_dip", "middle_tip",
    "ring_mcp", "ring_pip", "ring_dip", "ring_tip",
    "pinky_mcp", "pinky_pip", "pinky_dip", "pinky_tip",
)  # fmt: skip
"""MediaPipe's hand landmarks, from the wrist outwards."""

HAND = MappingProxyType({name: index for index, name in enumerate(HAND_NAMES)})

HAND_CONNECTIONS = (
    (0, 1), (1, 2), (2, 3), (3, 4),
    (0, 5), (5, 6), (6, 7), (7, 8),
    (5, 9), (9, 10), (10, 11), (11, 12),
    (9, 13), (13, 14), (14, 15), (15, 16),
    (13, 17), (0, 17), (17, 18), (18, 19), (19, 20),
)  # fmt: skip

FACE_POINTS = (
    127, 234, 93, 58, 172, 136, 149, 148, 152, 377, 378, 365, 397, 288, 323, 454, 356,  # jaw line, right to left
    70, 63, 105, 66, 107,  # right brow, outwards in
    336, 296, 334, 293, 300,  # left brow, inwards out
    168, 197, 5, 4,  # bridge of the nose, down to the tip
    98, 97, 2, 326, 327,  # under the nose, right to left
    33, 160, 158, 133, 153, 144,  # right eye from its outer corner: upper lid, inner corner, lower lid
    362, 385, 387, 263, 373, 380,  # left eye from its inner corner: upper lid, outer corner, lower lid
    61, 39, 37, 0, 267, 269, 291, 405, 314, 17, 84, 181,  # outer lips from the right corner over the upper lip
    78, 81, 13, 311, 308, 402, 14, 178,  # inner lips likewise
)  # fmt: skip
"""Index among MediaPipe's 478 of each of the 68 face points."""

JAW_LINE = slice(0, 17)
RIGHT_BROW, LEFT_BROW = slice(17, 22), slice(22, 27)
NOSE_BRIDGE, NOSE_BASE = slice(27, 31), slice(31, 36)
RIGHT_EYE, LEFT_EYE = slice(36, 42), slice(42, 48)
OUTER_LIPS, INNER_LIPS = slice(48, 60), slice(60, 68)

FACE = MappingProxyType(
    {
        "right_jaw": 0,
        "chin": 8,
        "left_jaw": 16,
        "nose_root": 27,
        "nose_tip": 30,
        "nose_base": 33,
        "right_eye_outer": 36,
        "right_eye_inner": 39,
        "left_eye_inner": 42,
        "left_eye_outer": 45,
        "mouth_right": 48,
        "mouth_left": 54,
        "upper_lip": 62,  # the middle of its inner edge
        "lower_lip": 66,
    }
)
"""Points of the 68 that have names of their own."""

FACE_MIRROR = (
    *range(16, -1, -1),
    *range(26, 16, -1),
    *range(27, 31),
    *range(35, 30, -1),
    45, 44, 43, 42, 47, 46,
    39, 38, 37, 36, 41, 40,
    54, 53, 52, 51, 50, 49, 48, 59, 58, 57, 56, 55,
    64, 63, 62, 61, 60, 67, 66, 65,
)  # fmt: skip
"""For each of the 68 points the one on the other side of the face."""


def _closed(part: slice) -> tuple[tuple[int, int], ...]:
    points = range(part.start, part.stop)
    return tuple(zip(points, (*points[1:], points[0]), strict=True))


def _open(part: slice) -> tuple[tuple[int, int], ...]:
    points = range(part.start, part.stop)
    return tuple(pairwise(points))


FACE_CONNECTIONS = (
    *_open(JAW_LINE), *_open(RIGHT_BROW), *_open(LEFT_BROW), *_open(NOSE_BRIDGE), *_open(NOSE_BASE),
    *_closed(RIGHT_EYE), *_closed(LEFT_EYE), *_closed(OUTER_LIPS), *_closed(INNER_LIPS),
)  # fmt: skip
"""Lines between the 68 points, for drawings."""

BLENDSHAPE_NAMES = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "cheekPuff", "cheekSquintLeft", "cheekSquintRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight", "eyeLookInLeft", "eyeLookInRight",
    "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight", "eyeSquintLeft", "eyeSquintRight",
    "eyeWideLeft", "eyeWideRight",
    "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper",
    "mouthSmileLeft", "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthUpperUpLeft", "mouthUpperUpRight", "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
"""ARKit's blendshapes (without tongueOut) in MediaPipe's order, after its neutral face."""
