"""Words for measures: how bright, which colours, what the camera does, how fast things move.

Every function returns None (or an empty result) where nothing was measured or the measure is too
uncertain to be put in words. The bounds between words are this project's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

DARK, DIM, BRIGHT = 0.13, 0.27, 0.65  # mean luma between dark | dim | evenly lit | bright
FLAT, STARK = 0.08, 0.27  # standard deviation of luma under and over which contrast is worth a word
COLOURLESS, MUTED, COLOURFUL, VIVID = 6.0, 25.0, 50.0, 85.0  # Hasler and Süsstrunk's M3, near their own words

STEADY_PAN, FAST_PAN = 0.02, 0.25  # frame widths or heights per second
STEADY_ZOOM, FAST_ZOOM = 0.02, 0.20  # scale change per second
SLOW_SHARE = 0.4  # of a fast speed, under which it is slow
SHAKY, UNSTEADY = 1.0, 0.6  # px a frame step, and share left over under which the camera moves to and fro

STILL, SLOW, FAST = 0.15, 0.8, 2.5  # px a frame step at 25 frames per second and the analysis size
TEXT, MUCH_TEXT = 0.003, 0.05  # share of the frame


def number(count: int) -> str:
    """A count in words up to nine, in digits beyond."""
    return NUMBERS[count] if 0 <= count < len(NUMBERS) else str(count)


def listing(words: Sequence[str]) -> str:
    """Words joined as in "red, green and blue"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def with_article(phrase: str) -> str:
    """The phrase with "a" or "an" before it, by its first letter."""
    return f"{'an' if phrase[:1].lower() in 'aeiou' else 'a'} {phrase}"


def light(brightness: float | None) -> str | None:
    """Brightness in words, such as "dim"."""
    if brightness is None:
        return None
    if brightness < DARK:
        return "dark"
    if brightness < DIM:
        return "dim"
    return "bright" if brightness >= BRIGHT else "evenly lit"


def contrast(spread: float | None) -> str | None:
    """Contrast in words where it is unusual."""
    if spread is None or FLAT <= spread <= STARK:
        return None
    return "low in contrast" if spread < FLAT else "high in contrast"


def palette(colourfulness: float | None, colours: Sequence[str]) -> str | None:
    """The colours in words, such as "muted colours, mainly grey and brown"."""
    if colourfulness is None:
        return f"mainly {listing(colours)} colours" if colours else None
    if colourfulness < COLOURLESS:
        return "hardly any colour"
    strength = (
        "vivid" if colourfulness >= VIVID
        else "strong" if colourfulness >= COLOURFUL
        else "muted" if colourfulness < MUTED
        else "moderate"
    )  # fmt: skip
    return f"{strength} colours" + (f", mainly {listing(colours)}" if colours else "")


def moves(row: Mapping[str, Any]) -> list[str] | None:
    """What the camera does by its measured speed, such as ["pan left", "zoom in"]; [] for a still camera.

    None where it was not measured, or where much moves and yet nothing in one direction. A pan and a
    sideways drive look alike to this measure; so do a zoom and a dolly.
    """
    pan, tilt, zoom = row.get("pan_x"), row.get("pan_y"), row.get("zoom")
    if pan is None or tilt is None or zoom is None:
        return None
    found = [
        backward if speed < 0 else forward
        for speed, steady, backward, forward in (
            (pan, STEADY_PAN, "pan left", "pan right"),
            (tilt, STEADY_PAN, "tilt up", "tilt down"),
            (zoom, STEADY_ZOOM, "zoom out", "zoom in"),
        )
        if abs(speed) >= steady
    ]
    if found:
        return found
    total, residual = row.get("of_score") or 0.0, row.get("motion_residual") or 0.0
    return None if total > SHAKY and residual < UNSTEADY * total else []


def movement(moved: Sequence[str] | None) -> str | None:
    """The words of `moves` as one phrase; "static" for none."""
    return None if moved is None else listing(moved) or "static"


def camera_sentence(row: Mapping[str, Any], moved: Sequence[str] | None) -> str | None:
    """A sentence on the camera for the words of `moves`."""
    if moved is None:
        return None
    if not moved:
        return "The camera is almost still."
    fastest = max(abs(row["pan_x"]) / FAST_PAN, abs(row["pan_y"]) / FAST_PAN, abs(row["zoom"]) / FAST_ZOOM)
    manner = " quickly" if fastest >= 1 else " slowly" if fastest < SLOW_SHARE else ""
    return f"The camera appears to {listing(moved)}{manner}."


def pace(row: Mapping[str, Any]) -> str | None:
    """Pace of the motion in words: "still", "slow", "moderate" or "fast"."""
    score = row.get("of_score")
    if score is None:
        return None
    at_25 = score * (row.get("video_fps") or 25.0) / 25.0
    if at_25 < STILL:
        return "still"
    if at_25 < SLOW:
        return "slow"
    return "fast" if at_25 >= FAST else "moderate"


def text_sentence(share: float | None) -> str | None:
    """A sentence on text in the picture, for `ocr_score`."""
    if share is None or share < TEXT:
        return None
    if share < MUCH_TEXT:
        return "Some text is on the screen."
    return f"Text covers about {round(100 * share)} % of the screen."
