"""Words that were spoken one by one, so that their edges are known: `spoken_words.flac`.

    python -m tests.operators.language.spoken_words    speaks them again; needs CMU Flite (see samples/speech.py)

In the file, 16 kHz mono, digital silence of `GAP` seconds stands before, between and after the words.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import av
import numpy as np

FILE = Path(__file__).with_suffix(".flac")
RATE = 16_000
GAP = 0.1  # s
WORDS = (
    "nobody", "told", "children", "about", "seven", "gardens", "under", "water",
    "music", "window", "mountain", "yellow", "picture", "people", "question",
)  # fmt: skip


def read_words() -> dict[str, np.ndarray]:
    """Each word's sound, int16."""
    with av.open(str(FILE)) as container:
        sound = np.concatenate([frame.to_ndarray().reshape(-1) for frame in container.decode(audio=0)])
    silent = np.flatnonzero(np.convolve(sound != 0, np.ones(round(0.9 * GAP * RATE)), mode="valid") == 0)
    breaks = np.split(silent, np.flatnonzero(np.diff(silent) > 1) + 1)
    edges = [(first[-1], second[0]) for first, second in pairwise(breaks)]
    width = round(0.9 * GAP * RATE)
    pieces = [np.trim_zeros(sound[start : stop + width]) for start, stop in edges]
    return dict(zip(WORDS, pieces, strict=True))


def assembled(order: list[str], gaps: list[float], seed: int = 0) -> tuple[np.ndarray, list[tuple[float, float]]]:
    """Words in this order with `gaps` seconds after each, over faint noise: samples, and each word's start and end."""
    words = read_words()
    pieces, edges, position = [np.zeros(RATE // 4)], [], RATE // 4
    for word, gap in zip(order, gaps, strict=True):
        pause = np.zeros(round(gap * RATE))
        edges.append((position / RATE, (position + len(words[word])) / RATE))
        pieces += [words[word], pause]
        position += len(words[word]) + len(pause)
    sound = np.concatenate([*pieces, np.zeros(RATE // 4)])
    return (sound + np.random.default_rng(seed).normal(0, 8, len(sound))).round().astype(np.int16), edges


def clip_of(sound: np.ndarray, **row: object) -> dict:
    """A clip row with int16 samples as its sound, from the start of a video that is as long."""
    seconds = len(sound) / RATE
    return {
        "record": "clip",
        "clip_id": "v_0000000",
        "error": None,
        "drop_reason": None,
        "audio": sound.astype("<i2").tobytes() or None,
        "clip_duration": seconds,
        "clip_start_end_time": [0.0, seconds],
        "video_duration": seconds,
        "extra": None,
        "language": None,
        **row,
    }


def recording(path: Path) -> np.ndarray:
    """The sound of a media file: int16, mono, 16 kHz."""
    resampler = av.AudioResampler("s16", "mono", RATE)
    with av.open(str(path)) as container:
        pieces = [piece for frame in container.decode(audio=0) for piece in resampler.resample(frame)]
    return np.concatenate([piece.to_ndarray()[0] for piece in [*pieces, *resampler.resample(None)]])


def main() -> None:
    """Speak the words and write the file."""
    from scipy.signal import resample_poly

    from samples.music import RATE as SPOKEN
    from samples.speech import MARGIN, say

    gap = np.zeros(round(GAP * RATE), dtype=np.int16)
    parts = [gap]
    for word in WORDS:
        sound = (resample_poly(say(word)[:, 0], RATE, SPOKEN) * 16_000).round().astype(np.int16)
        sound = sound[round(MARGIN * RATE) : -round(MARGIN * RATE)]
        sound[sound == 0] = 1
        parts += [sound, gap]
    samples = np.concatenate(parts)
    with av.open(str(FILE), "w") as container:
        stream = container.add_stream("flac", rate=RATE, layout="mono", options={"compression_level": "12"})
        frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
        frame.sample_rate = RATE
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


if __name__ == "__main__":
    main()
