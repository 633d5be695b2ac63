"""Who is who among the speakers of one video: the same look keeps the same id.

A person's look is a pair of colour histograms, of the head (skin and hair) and of the torso (clothes), in
CIE L*a*b*, smoothed so that small changes of light do not matter, and averaged over the times at which the
person is seen. Looks are compared by the Bhattacharyya coefficient.

This tells apart the few people of one video, as an interviewer from a guest. It does not recognise faces:
people dressed alike with like hair become one speaker, and one person who changes clothes, or whom the
lighting changes much, becomes two.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from operators.pose.landmarking.landmarkers import Box, Pose

Look = NDArray[np.float32]
"""Histograms of head and torso, float32 2×`BINS`; each sums to 1, or to 0 where the part is not in view."""

LEVELS = (6, 12, 12)  # bins for L*, a*, b*
BINS = LEVELS[0] * LEVELS[1] * LEVELS[2]
SPREAD = 0.6  # bins; standard deviation of the smoothing
CHROMA = (92, 164)  # of 0–255 with grey at 128: skin and most clothes lie inside, the rest counts at the edge
FEWEST_PIXELS = 60

PART_WEIGHTS = (0.4, 0.6)  # head and torso; clothes differ more than skin and hair
SAME_LOOK = 0.3  # distance up to which two looks are one person's

HEAD_GROWTH = 1.3  # the face's box, grown to take in the hair
LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP = 11, 12, 23, 24


def look(rgb: NDArray[np.uint8], head: Box, pose: Pose | None) -> Look:
    """The look of the person with this head (shares of the picture `rgb`, uint8 H×W×3) and body, where known."""
    parts = [_part(rgb, _grown(head, HEAD_GROWTH)), _part(rgb, _torso(head, pose))]
    return np.stack(parts).astype(np.float32)


def mean_look(looks: Sequence[Look]) -> Look:
    """The mean of several looks of one person; parts that are not in view do not count."""
    total = np.sum(looks, axis=0, dtype=np.float64)
    sums = total.sum(axis=1, keepdims=True)
    return np.divide(total, sums, out=np.zeros_like(total), where=sums > 0).astype(np.float32)


def distance(a: Look, b: Look) -> float:
    """How unlike two looks are, 0 to 1, over the parts that both have; 1 where they share none."""
    shared = np.array([weight * float(p.any() and q.any()) for weight, p, q in zip(PART_WEIGHTS, a, b, strict=True)])
    if not shared.any():
        return 1.0
    likeness = np.sqrt(a.astype(np.float64) * b).sum(axis=1)
    return float(np.clip(1.0 - (shared * likeness).sum() / shared.sum(), 0.0, 1.0))


class Speakers:
    """Names the speakers of one video in the order of their first appearance: `{video_id}_s00`, `_s01`, …"""

    def __init__(self, video_id: str) -> None:
        self._video_id = video_id
        self._known: list[tuple[Look, int]] = []  # mean look, spans it was seen in
        self._named: dict[Hashable, int] = {}

    def name(self, looks: Sequence[Look], tracks: Sequence[Hashable]) -> list[str]:
        """The ids of people who are seen together, in their order; never one id for two of them.

        Whoever was named on the same track before keeps that id. Of the others the nearest pairs of people
        and known speakers go first; people unlike every speaker are new ones.
        """
        found = {n: self._named[track] for n, track in enumerate(tracks) if track in self._named}
        pairs = sorted(
            (distance(seen, known), person, speaker)
            for person, seen in enumerate(looks)
            for speaker, (known, _) in enumerate(self._known)
        )
        for away, person, speaker in pairs:
            if away <= SAME_LOOK and person not in found and speaker not in found.values():
                found[person] = speaker
        for person, seen in enumerate(looks):
            if person in found:
                mean, count = self._known[found[person]]
                self._known[found[person]] = (mean_look([mean * np.float32(count), seen]), count + 1)
            else:
                found[person] = len(self._known)
                self._known.append((seen, 1))
            self._named[tracks[person]] = found[person]
        return [f"{self._video_id}_s{found[person]:02d}" for person in range(len(looks))]


def _torso(head: Box, pose: Pose | None) -> Box:
    if pose is None:
        x, y = head.centre
        return Box(x - head.width, y + 1.1 * head.height, 2 * head.width, 1.5 * head.height)
    points = pose.landmarks[[LEFT_SHOULDER, RIGHT_SHOULDER, LEFT_HIP, RIGHT_HIP], :2].astype(float)
    left, right = sorted(points[:2, 0])
    top, bottom = points[:2, 1].mean(), points[2:, 1].mean()
    return Box(left + 0.1 * (right - left), top, 0.8 * (right - left), max(0.0, 0.8 * (bottom - top)))


def _grown(box: Box, factor: float) -> Box:
    x, y = box.centre
    return Box(x - box.width * factor / 2, y - box.height * factor / 2, box.width * factor, box.height * factor)


def _part(rgb: NDArray[np.uint8], box: Box) -> NDArray[np.float64]:
    height, width = rgb.shape[:2]
    left, right = (round(min(max(x, 0.0), 1.0) * width) for x in (box.x, box.x + box.width))
    top, bottom = (round(min(max(y, 0.0), 1.0) * height) for y in (box.y, box.y + box.height))
    if (right - left) * (bottom - top) < FEWEST_PIXELS:
        return np.zeros(BINS)
    lab = cv2.cvtColor(np.ascontiguousarray(rgb[top:bottom, left:right]), cv2.COLOR_RGB2LAB)
    lab[..., 1:] = np.clip(lab[..., 1:], CHROMA[0], CHROMA[1] - 1)
    counts = cv2.calcHist([lab], [0, 1, 2], None, list(LEVELS), [0, 256, *CHROMA, *CHROMA]).astype(np.float64)
    for axis, size in enumerate(LEVELS):
        counts = np.moveaxis(np.tensordot(_smoothing(size), counts, axes=(1, axis)), 0, axis)
    return (counts / counts.sum()).ravel()


def _smoothing(size: int) -> NDArray[np.float64]:
    away = np.arange(size)[:, None] - np.arange(size)
    weights = np.exp(-0.5 * (away / SPREAD) ** 2)
    return weights / weights.sum(axis=0)
