"""Captions of the picture stated from measures: who is seen and where, light, colours, camera, pace.

Nothing is said that was not measured. The camera's movement is said where the keyframes bear it out,
and hedged, since pans and drives look alike; that nobody was found is not said, since people can be missed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from operators.columns import select
from operators.contract import ClipOperator, Row
from operators.language import phrases
from operators.video import camera
from operators.video.colours import main_colours
from operators.video.quality import brightness
from operators.video.stills import RGB, stills


class StatedCaption(ClipOperator):
    """Puts a clip's measures into plain sentences; `objects` holds only what a detector found."""

    name = "caption"
    reads = (
        "keyframes", "people", "faces", "person_position", "view_scale", "brightness", "contrast", "colourfulness",
        "ocr_score", "of_score", "motion_residual", "pan_x", "pan_y", "zoom", "video_fps",
        "keyframe_times",
    )  # fmt: skip
    writes = select("frame_caption", "caption", "movement", "speed", "dominant_colours", "objects", "background")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [self._columns(clip) for clip in clips]

    def _columns(self, clip: Row) -> Row:
        frames = stills(clip)
        colours = main_colours(frames)
        moves, pace = self._moves(clip, frames), phrases.pace(clip)
        faces = clip.get("faces") or [None] * len(frames)
        return {
            "frame_caption": [frame_sentence(frame, found) for frame, found in zip(frames, faces, strict=True)],
            "caption": " ".join(sentences(clip, colours, moves, pace)),
            "movement": phrases.movement(moves),
            "speed": pace,
            "dominant_colours": colours,
            "objects": objects(clip),
            "background": None,
        }

    def _moves(self, clip: Row, frames: Sequence[RGB]) -> list[str] | None:
        """The camera's movement, where the keyframes bear it out."""
        moves, times = phrases.moves(clip), clip.get("keyframe_times")
        if moves and not (times and camera.confirmed(frames, times, clip["pan_x"], clip["pan_y"], clip["zoom"])):
            return None
        return moves


def frame_sentence(frame: RGB, faces: int | None) -> str:
    """One sentence on one keyframe, from its light, its colours and the faces found in it."""
    colours = main_colours([frame])
    subject = f"{phrases.with_article(f'{phrases.light(brightness(frame))} picture')}"
    if faces:
        subject += f" with {phrases.number(faces)} {'face' if faces == 1 else 'faces'}"
    if colours:
        subject += f", mainly {phrases.listing(colours)}"
    return _sentence(subject)


def sentences(
    clip: Mapping[str, Any], colours: Sequence[str], moves: Sequence[str] | None, pace: str | None
) -> list[str]:
    """The statements on a clip, most telling first; only what was measured."""
    return [
        sentence
        for sentence in (
            _who(clip),
            _look(clip, colours),
            phrases.camera_sentence(clip, moves),
            _motion(pace, still=moves == []),
            phrases.text_sentence(clip.get("ocr_score")),
        )
        if sentence
    ]


def objects(clip: Mapping[str, Any]) -> list[str]:
    """What detectors found: people, faces, text."""
    people, faces = clip.get("people") or 0, max(clip.get("faces") or [0])
    found = []
    if people:
        found.append("person" if people == 1 else "people")
    if faces:
        found.append("face" if faces == 1 else "faces")
    if (clip.get("ocr_score") or 0) >= phrases.TEXT:
        found.append("on-screen text")
    return found


def _who(clip: Mapping[str, Any]) -> str | None:
    people = clip.get("people")
    if not people:
        return None
    scale, side = clip.get("view_scale"), clip.get("person_position")
    who = "one person" if people == 1 else f"{phrases.number(people)} people"
    opening = phrases.with_article(scale) if scale else "the picture"
    where = ""
    if side:
        place = "in the centre" if side == "centre" else f"on the {side}"
        most = "larger" if people == 2 else "largest"
        where = f" {place}" if people == 1 else f", the {most} of them {place}"
    return _sentence(f"{opening} shows {who}{where}")


def _look(clip: Mapping[str, Any], colours: Sequence[str]) -> str | None:
    adjectives = [
        word for word in (phrases.light(clip.get("brightness")), phrases.contrast(clip.get("contrast"))) if word
    ]
    palette = phrases.palette(clip.get("colourfulness"), colours)
    if adjectives:
        return _sentence(f"the picture is {phrases.listing(adjectives)}{', with ' + palette if palette else ''}")
    return _sentence(f"the picture has {palette}") if palette else None


def _motion(pace: str | None, *, still: bool) -> str | None:
    if pace is None:
        return None
    if pace == "still":
        return None if still else "Hardly anything moves."
    return f"The motion in the scene is {pace}." if still else f"The motion is {pace}."


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."
