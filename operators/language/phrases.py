"""Words for measures: how bright, which colours, what the camera does, how fast things move.

What was not measured, or is too uncertain or too ordinary for a word, gives None or an empty result. The
bounds between words are this project's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

DARK, DIM, BRIGHT = 0.13, 0.27, 0.65  # mean luma between dark | dim | ordinary | bright
FLAT, STARK = 0.08, 0.27  # standard deviation of luma under and over which contrast is worth a word
COLOURLESS, MUTED, COLOURFUL, VIVID = 6.0, 25.0, 50.0, 85.0  # Hasler and Süsstrunk's M3, near their own words

STEADY_PAN, FAST_PAN = 0.02, 0.25  # frame widths or heights per second
STEADY_ZOOM, FAST_ZOOM = 0.01, 0.20  # scale change per second
SLOW_SHARE = 0.4  # of a fast speed, under which it is slow
SHAKY, UNSTEADY = 1.0, 0.6  # px a frame step, and share left over under which the camera moves to and fro

STILL, SLOW, FAST = 0.15, 0.8, 2.5  # px a frame step at 25 frames per second and the analysis size
TEXT, MUCH_TEXT = 0.003, 0.05  # share of the frame

PROPORTIONS = ((0.95, "all"), (0.6, "most"), (0.4, "about half"), (0.15, "part"), (0.0, "a small part"))
"""Share from which something is said to last that much of the whole."""

TEMPI = ((76.0, "slow"), (120.0, "mid-tempo"), (float("inf"), "fast"))  # beats/min: adagio ends, allegro begins

UNCOLOURED = {"black", "grey", "white"}
COLOURLESS_WORDS = "almost colourless"


def number(count: int) -> str:
    """A count in words up to nine, in digits beyond."""
    return NUMBERS[count] if 0 <= count < len(NUMBERS) else str(count)


def listing(words: Sequence[str]) -> str:
    """Words joined as in "red, green and blue"."""
    return " and ".join(filter(None, [", ".join(words[:-1]), words[-1]])) if words else ""


def with_article(phrase: str) -> str:
    """The phrase with "a" or "an" before it, by its first letter."""
    return f"{'an' if phrase[:1].lower() in 'aeiou' else 'a'} {phrase}"


def proportion(share: float) -> str:
    """A share from 0 to 1 in words that "of the …" can follow, such as "about half"."""
    return next(words for least, words in PROPORTIONS if share >= least or least == 0.0)


def lasting(share: float) -> str:
    """For how much of the clip something is there, such as "throughout" or "for most of the time"."""
    much = proportion(share)
    return "throughout" if much == "all" else f"for {much} of the time"


def music(tempo: float | None, key: str | None, level: str = "") -> str:
    """Music by its pace (`tempo` in beats per minute), level and key, such as "slow, quiet music in A minor"."""
    pace = "" if tempo is None else next(word for limit, word in TEMPI if tempo < limit)
    qualities = ", ".join(word for word in (pace, level) if word)
    return f"{qualities} music".lstrip() + (f" in {key}" if key else "")


def light(brightness: float | None) -> str | None:
    """Brightness in words where it is unusual, such as "dim"."""
    if brightness is None or DIM <= brightness < BRIGHT:
        return None
    if brightness >= BRIGHT:
        return "bright"
    return "dark" if brightness < DARK else "dim"


def contrast(spread: float | None) -> str | None:
    """Contrast in words where it is unusual."""
    if spread is None or FLAT <= spread <= STARK:
        return None
    return "low in contrast" if spread < FLAT else "high in contrast"


def strength(colourfulness: float | None, colours: Sequence[str]) -> str | None:
    """The strength of the colours in words where it is unusual, such as "vividly coloured".

    A picture in weak tints that have a name, such as sepia, is muted and not colourless.
    """
    if colourfulness is None or MUTED <= colourfulness < COLOURFUL:
        return None
    if colourfulness < COLOURLESS and UNCOLOURED.issuperset(colours):
        return COLOURLESS_WORDS
    if colourfulness < MUTED:
        return "muted in colour"
    return "vividly coloured" if colourfulness >= VIVID else "strongly coloured"


def main_colours(colours: Sequence[str]) -> str:
    """The colours as a phrase, such as "brown and grey as its main colours"."""
    return f"{listing(colours)} as its main {'colour' if len(colours) == 1 else 'colours'}"


def is_flat(spread: float | None) -> bool:
    """Whether the picture has too little detail for a still camera or a slow motion to be seen."""
    return spread is not None and spread < FLAT


def speeds(row: Mapping[str, Any]) -> tuple[float, float, float]:
    """Measured pan, tilt and zoom of the camera, 0 for each that is too slow to be called a movement."""
    measured = ((row["pan_x"], STEADY_PAN), (row["pan_y"], STEADY_PAN), (row["zoom"], STEADY_ZOOM))
    pan, tilt, zoom = (speed if abs(speed) >= steady else 0.0 for speed, steady in measured)
    return pan, tilt, zoom


def moves(row: Mapping[str, Any]) -> list[str] | None:
    """What the camera does by its measured speed, such as ["pan left", "zoom in"]; [] for a still camera.

    None where it was not measured, or where much moves and yet nothing in one direction. A pan and a
    sideways drive look alike to this measure; so do a zoom and a dolly.
    """
    if any(row.get(name) is None for name in ("pan_x", "pan_y", "zoom")):
        return None
    names = (("pan left", "pan right"), ("tilt up", "tilt down"), ("zoom out", "zoom in"))
    if found := [pair[speed > 0] for speed, pair in zip(speeds(row), names, strict=True) if speed]:
        return found
    total, residual = row.get("of_score") or 0.0, row.get("motion_residual") or 0.0
    return None if total > SHAKY and residual < UNSTEADY * total else []


def movement(moved: Sequence[str] | None) -> str | None:
    """The words of `moves` as one phrase; "static" for none."""
    return None if moved is None else listing(moved) or "static"


def motion_sentence(row: Mapping[str, Any], moved: Sequence[str] | None) -> str | None:
    """A sentence on the camera, for the words of `moves`, and on what else moves."""
    if moved:
        return f"The camera seems to {listing(moved)}{_manner(row)}{_beside(row)}."
    own = pace(row)
    if moved is None:
        if own is None:
            return None
        return "Hardly anything moves." if own == "still" else f"There is {own} movement in the picture."
    if own == "still":
        return "The camera is almost still, and hardly anything moves."
    return f"The camera is almost still{f', with {own} movement in the picture' if own else ''}."


def _manner(row: Mapping[str, Any]) -> str:
    fastest = max(abs(row["pan_x"]) / FAST_PAN, abs(row["pan_y"]) / FAST_PAN, abs(row["zoom"]) / FAST_ZOOM)
    return " quickly" if fastest >= 1 else " slowly" if fastest < SLOW_SHARE else ""


def _beside(row: Mapping[str, Any]) -> str:
    """Motion that is left over when the camera's is taken out; the least of it is error of measurement."""
    rest = pace({"of_score": row.get("motion_residual"), "video_fps": row.get("video_fps")})
    return f", with {rest} movement in the picture besides" if rest in ("moderate", "fast") else ""


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
    return f"Text covers about {round(100 * share)}% of the screen."
