"""Words for measured music. Nothing is said that a number does not carry."""

from __future__ import annotations

from dataclasses import dataclass

from operators.audio.pulse import CLEAR
from operators.language import phrases

LOUD, QUIET = -20.0, -35.0  # dBFS
BRIGHT, DARK = 2000.0, 900.0  # Hz, spectral centroid of sound cut off at 8 kHz
SUSTAINED = 3.0  # of 5 partials that last through 2.56 s
COURSE = 4.0  # dB between the first and the last third


@dataclass(frozen=True, kw_only=True)
class Passage:
    """What was measured on a stretch of music.

    `tempo` in beats per minute with `clarity` from 0 to 1, `loudness` in dBFS, `rise` in dB from the
    first third to the last, `centroid` in Hz, `sustained` from 0 to 5 partials, `voiced` where a voice is
    heard over it, `between_voices` where everything was measured while no voice was heard.
    """

    tempo: float | None
    clarity: float
    key: str | None
    loudness: float
    rise: float
    centroid: float
    sustained: float
    voiced: bool
    between_voices: bool


def describe(passage: Passage) -> str:
    """A sentence about a passage, such as "Slow, quiet music in A minor with sustained notes and a dark tone plays
    at about 72 beats per minute, growing louder."; where there are voices it says what it was measured on."""
    subject = f"{phrases.music(passage.tempo, passage.key, _level(passage.loudness))}{_with(_features(passage))}"
    if passage.voiced:
        subject = f"{'between the voices' if passage.between_voices else 'under a voice'}, {subject}"
    pulse = f" at about {passage.tempo:.0f} beats per minute" if passage.tempo is not None else ""
    sentence = f"{subject} plays{pulse}{_course(passage.rise, after=pulse)}."
    return sentence[0].upper() + sentence[1:]


def voices(seconds: float, music_seconds: float) -> str | None:
    """Over how much of the seconds with music a voice was heard, in words; None without voices."""
    if round(seconds, 1) == 0:
        return None
    return f"A voice is heard over {phrases.proportion(seconds / music_seconds)} of the music."


def clock(seconds: float) -> str:
    """Minutes and seconds, "m:ss", rounded to the nearest second."""
    whole = int(seconds + 0.5)
    return f"{whole // 60}:{whole % 60:02d}"


def _level(loudness: float) -> str:
    return "loud" if loudness >= LOUD else "quiet" if loudness < QUIET else ""


def _with(features: list[str]) -> str:
    return f" with {phrases.listing(features)}" if features else ""


def _features(passage: Passage) -> list[str]:
    features = []
    if passage.clarity >= CLEAR:
        features.append("a strong beat")
    if passage.sustained >= SUSTAINED:
        features.append("sustained notes")
    if passage.centroid >= BRIGHT:
        features.append("a bright tone")
    elif passage.centroid < DARK:
        features.append("a dark tone")
    return features


def _course(rise: float, *, after: str) -> str:
    if abs(rise) < COURSE:
        return f"{',' if after else ''} at an even level"
    return ", growing louder" if rise > 0 else ", fading"
