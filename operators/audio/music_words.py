"""Words for measured music. Nothing is said that a number does not carry."""

from __future__ import annotations

from dataclasses import dataclass

from operators.audio.pulse import CLEAR

TEMPI = ((76.0, "slow"), (120.0, "mid-tempo"), (float("inf"), "fast"))  # beats/min: adagio ends, allegro begins
LOUD, QUIET = -20.0, -35.0  # dBFS
BRIGHT, DARK = 2000.0, 900.0  # Hz, spectral centroid of sound cut off at 8 kHz
SUSTAINED = 3.0  # of 5 partials that last through 2.56 s
COURSE = 4.0  # dB between the first and the last third
ALWAYS = 0.95  # share of the music from which voices are there throughout


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
    """A sentence about a passage, such as "Slow, quiet music in A minor, about 72 beats per minute, with
    sustained notes and a dark tone, growing louder."; a second one where there are voices."""
    qualities = [_pace(passage.tempo), _level(passage.loudness)]
    sentence = ", ".join(word for word in qualities if word) + " music"
    if passage.key:
        sentence += f" in {passage.key}"
    if passage.tempo is not None:
        sentence += f", about {passage.tempo:.0f} beats per minute"
    if features := _features(passage):
        sentence += f", with {' and '.join([', '.join(features[:-1]), features[-1]] if features[1:] else features)}"
    sentence = f"{sentence.lstrip()[0].upper()}{sentence.lstrip()[1:]}, {_course(passage.rise)}."
    if passage.voiced:
        sentence += " Measured between the voices." if passage.between_voices else " Measured with voices over it."
    return sentence


def voices(seconds: float, music_seconds: float) -> str | None:
    """For how many of the seconds with music a voice was heard; None without voices."""
    if round(seconds, 1) == 0:
        return None
    if seconds >= ALWAYS * music_seconds:
        return f"A voice throughout the {music_seconds:.1f} s of music."
    return f"A voice over {seconds:.1f} of the {music_seconds:.1f} s of music."


def clock(seconds: float) -> str:
    """Minutes and seconds, "m:ss", rounded to the nearest second."""
    whole = int(seconds + 0.5)
    return f"{whole // 60}:{whole % 60:02d}"


def _pace(tempo: float | None) -> str:
    return "" if tempo is None else next(word for limit, word in TEMPI if tempo < limit)


def _level(loudness: float) -> str:
    return "loud" if loudness >= LOUD else "quiet" if loudness < QUIET else ""


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


def _course(rise: float) -> str:
    return "growing louder" if rise >= COURSE else "fading" if rise <= -COURSE else "at an even level"
