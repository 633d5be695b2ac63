"""Clip rows for the models to work on: drawn pictures, music, and the texts that earlier operators would have written.

Every clip is another one, so that no engine finds a prompt or a picture in its cache.
"""

from __future__ import annotations

import cv2
import numpy as np

from operators.audio.waveform import SAMPLE_RATE
from operators.contract import Row

HEIGHT, WIDTH = 720, 1280  # px of a keyframe
SHORTEST, LONGEST = 5.0, 15.0  # s of a clip
CHORDS = ((57, 60, 64), (62, 65, 69), (64, 68, 71), (60, 64, 67))  # MIDI notes
BEAT = 0.6  # s
SAID = (
    "we should have left this place before the storm came down from the mountains and closed the only road there is "
    "nobody told us that the bridge was gone and now there is no way back before the morning"
)
SEEN = (
    "A woman in a dark coat walks along a harbour wall in the evening light while gulls circle above the water. "
    "Behind her the lamps of the town go on one after the other, and a small boat leaves the quay."
)


def clip_rows(count: int, *, spoken: bool, seed: int = 0) -> list[Row]:
    """Clips of 5 to 15 s with three JPEG keyframes of 1280×720 and 16-bit sound, as they reach the models.

    `spoken` says whether voice activity is noted all over the clip, or nowhere: the models of speech hear
    only the former, those of music only the latter.
    """
    return [_clip(number, np.random.default_rng((seed, number)), spoken) for number in range(count)]


def _clip(number: int, rng: np.random.Generator, spoken: bool) -> Row:
    seconds = round(float(rng.uniform(SHORTEST, LONGEST)), 2)
    return {
        "record": "clip", "error": None, "provenance": {}, "clip_id": f"made_{number:07d}", "tier": "hq",
        "clip_duration": seconds, "video_duration": 120.0, "video_resolution": [HEIGHT, WIDTH], "video_fps": 24.0,
        "keyframes": _keyframes(rng), "audio": _music(seconds, rng),
        "motion_method": "optical_flow", "of_score": 1.4, "pan_x": 0.08, "pan_y": 0.0, "zoom": 0.0,
        "motion_residual": 0.6, "brightness": 0.45, "contrast": 0.2, "colourfulness": 40.0, "people": 1,
        "faces": [1, 1, 0], "person_height": 0.6, "person_position": "left", "person_scale": "medium shot",
        "screen_text": [f"HARBOUR {number}", "", ""], "caption": f"{number}. {SEEN}", "objects": ["woman", "boat"],
        "background": "a harbour town", "view_scale": "medium shot", "movement": "pan right", "speed": "slow",
        "music_share": 1.0, "speech_share": 0.9 if spoken else 0.0, "silence_share": 0.0, "loudness": -18.0,
        "speech_spans": [[0.2, seconds - 0.2]] if spoken else [],
        "audio_tags": [{"tag": "a piano", "score": 0.6}], "tempo": 100.0, "key": "A minor",
        "music_caption": [{"text": "Calm, sustained music at 100 beats per minute.", "time": "0:00-0:10"}],
        "vocal_caption": None, "transcript": f"{SAID} {number}", "words": [], "transcript_quality": "high",
        "language": "en",
    }  # fmt: skip


def _keyframes(rng: np.random.Generator) -> list[bytes]:
    """One scene at three moments: soft shapes, edges and grain, which make a JPEG of about 150 kB."""
    coarse = cv2.resize(rng.integers(0, 256, (9, 16, 3), np.uint8), (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    for _ in range(12):
        corner = rng.integers(0, (WIDTH - 200, HEIGHT - 200)).tolist()
        colour = rng.integers(0, 256, 3).tolist()
        cv2.circle(coarse, corner, int(rng.integers(20, 160)), colour, -1, cv2.LINE_AA)
    grain = cv2.resize(rng.integers(0, 24, (HEIGHT // 2, WIDTH // 2, 3), np.uint8), (WIDTH, HEIGHT))
    scene = cv2.add(np.asarray(coarse, np.uint8), np.asarray(grain, np.uint8))
    return [_jpeg(np.roll(scene, 40 * moment, axis=1)) for moment in range(3)]


def _jpeg(picture: np.ndarray) -> bytes:
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, 90])
    assert done
    return data.tobytes()


def _music(seconds: float, rng: np.random.Generator) -> bytes:
    """A chord on every fourth beat and a note on each, int16 mono."""
    length = round(seconds * SAMPLE_RATE)
    sound = rng.normal(size=length) * 0.002
    shift = int(rng.integers(-5, 6))
    beat = round(BEAT * SAMPLE_RATE)
    for start in range(0, length, beat):
        chord = CHORDS[start // beat // 4 % len(CHORDS)]
        notes = (*chord, chord[start // beat % 3] + 12) if start // beat % 4 == 0 else (chord[start // beat % 3] + 12,)
        for note in notes:
            time = np.arange(min(beat * (4 if note in chord else 1), length - start)) / SAMPLE_RATE
            phase = 2 * np.pi * 440 * 2 ** ((note + shift - 69) / 12) * time
            tone = sum(0.7**k * np.sin(k * phase) * np.exp(-time * (1 + k)) for k in range(1, 7))
            sound[start : start + len(time)] += tone
    return np.round(0.4 * 32767 * sound / np.abs(sound).max()).astype("<i2").tobytes()
