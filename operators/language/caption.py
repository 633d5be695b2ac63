"""Captions of the picture stated from measures: who is seen and where, light, colours, camera, pace.

Nothing is said that was not measured. Who is seen is hedged, since faces that are drawn or stand on a
screen count as people; so is the camera's movement, since pans and drives look alike, and it is said
only where the keyframes bear it out. That nobody was found is not said, since people can be missed.
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
from operators.video.stills import RGB, shrink, stills

SIDE = 320  # px, longer side of the frames that are measured; colours, light and camera need no more


class StatedCaption(ClipOperator):
    """Puts a clip's measures into plain sentences; `objects` holds only what a detector found."""

    name = "caption"
    version = 3
    reads = (
        "keyframes", "people", "faces", "person_position", "person_scale", "brightness", "contrast", "colourfulness",
        "ocr_score", "of_score", "motion_residual", "pan_x", "pan_y", "zoom", "video_fps",
        "keyframe_times",
    )  # fmt: skip
    writes = select(
        "frame_caption", "caption", "view_scale", "movement", "speed", "dominant_colours", "objects", "background"
    )

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        rows = []
        for clip in clips:
            frames = small(stills(clip))
            rows.append({**stated(clip, frames), "frame_caption": frame_sentences(clip, frames)})
        return rows


def small(frames: Sequence[RGB]) -> list[RGB]:
    """Keyframes as the measures here take them: each of these shrinks what it is given, and a 720p frame at length."""
    return [shrink(frame, long_side=SIDE) for frame in frames]


def stated(clip: Row, frames: Sequence[RGB]) -> Row:
    """All of the columns but the frames' captions, for a clip and its keyframes, `small`."""
    colours = main_colours(frames)
    certain, moves = camera_moves(clip, frames)
    return {
        "caption": " ".join(sentences(certain, colours, moves)) or None,
        "view_scale": clip.get("person_scale"),
        "movement": phrases.movement(moves),
        "speed": phrases.pace(clip),
        "dominant_colours": colours,
        "objects": objects(clip),
        "background": None,
    }


def frame_sentences(clip: Row, frames: Sequence[RGB]) -> list[str]:
    """One sentence on each keyframe, `small`."""
    faces = counted_faces(clip) or [None] * len(frames)
    return [frame_sentence(frame, found) for frame, found in zip(frames, faces, strict=True)]


def camera_moves(clip: Row, frames: Sequence[RGB]) -> tuple[Row, list[str] | None]:
    """The clip with those camera speeds alone that its keyframes bear out, and the words of `phrases.moves` for them.

    None where nothing was measured, where the keyframes deny all that was, or where a still camera
    cannot be told from a picture without detail.
    """
    claimed = phrases.moves(clip)
    if not claimed:
        return clip, None if phrases.is_flat(clip.get("contrast")) else claimed
    times = clip.get("keyframe_times") or ()
    pan, tilt, zoom = camera.borne_out(frames, times, phrases.speeds(clip))
    certain = {**clip, "pan_x": pan, "pan_y": tilt, "zoom": zoom}
    return certain, (phrases.moves(certain) if pan or tilt or zoom else None)


def counted_faces(clip: Mapping[str, Any]) -> list[int] | None:
    """Faces per keyframe, none where they were too few or unsure to make a person."""
    faces = clip.get("faces")
    return [0] * len(faces) if faces and clip.get("people") == 0 else faces


def frame_sentence(frame: RGB, faces: int | None) -> str:
    """One sentence on one keyframe, from its light, its colours and the faces found in it."""
    colours, light = main_colours([frame]), phrases.light(brightness(frame))
    subject = phrases.with_article(f"{light} frame" if light else "frame")
    if colours:
        subject += f" with {phrases.main_colours(colours)}"
    if faces:
        subject += f", showing what looks like {phrases.number(faces)} {'face' if faces == 1 else 'faces'}"
    return _sentence(subject)


def sentences(clip: Mapping[str, Any], colours: Sequence[str], moves: Sequence[str] | None) -> list[str]:
    """The statements on a clip, most telling first; only what was measured."""
    return [
        sentence
        for sentence in (
            _who(clip),
            _look(clip, colours),
            phrases.text_sentence(clip.get("ocr_score")),
            _motion(clip, moves),
        )
        if sentence
    ]


def objects(clip: Mapping[str, Any]) -> list[str]:
    """What detectors found: people, faces, text."""
    people, faces = clip.get("people") or 0, max(counted_faces(clip) or [0])
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
    scale, side = clip.get("person_scale"), clip.get("person_position")
    who = "one person" if people == 1 else f"{phrases.number(people)} people"
    opening = phrases.with_article(scale) if scale else "the picture"
    where = ""
    if side:
        place = "in the centre" if side == "centre" else f"on the {side}"
        most = "larger" if people == 2 else "largest"
        where = f" {place}" if people == 1 else f", the {most} of them {place}"
    return _sentence(f"{opening} appears to show {who}{where}")


def _look(clip: Mapping[str, Any], colours: Sequence[str]) -> str | None:
    strength = phrases.strength(clip.get("colourfulness"), colours)
    adjectives = [
        word
        for word in (phrases.light(clip.get("brightness")), phrases.contrast(clip.get("contrast")), strength)
        if word
    ]
    if not adjectives:
        verb = "colour is" if len(colours) == 1 else "colours are"
        return _sentence(f"the main {verb} {phrases.listing(colours)}") if colours else None
    shades = f", with {phrases.main_colours(colours)}" if colours else ""
    if strength == phrases.COLOURLESS_WORDS and len(colours) > 1:
        shades = f", in {phrases.listing(colours)}"
    return _sentence(f"the picture is {phrases.listing(adjectives)}{shades}")


def _motion(clip: Mapping[str, Any], moves: Sequence[str] | None) -> str | None:
    """Optical flow guesses where there is no detail: of a flat picture only a borne-out camera movement is said."""
    return None if phrases.is_flat(clip.get("contrast")) and not moves else phrases.motion_sentence(clip, moves)


def _sentence(words: str) -> str:
    return words[0].upper() + words[1:] + "."
