from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from scipy import ndimage

from operators.audio.tags import AudioTags
from operators.pose.speaking import LIPS, Speaking, agreement, mouth_opening, tells, voice_level
from operators.pose.topology import FACE
from tests.operators.language.spoken_words import RATE, WORDS, assembled, clip_of

FPS = 30.0
WIDE, HIGH = 1280, 720


def talk(seed: int, words: int) -> np.ndarray:
    """Spoken words in phrases of one to seven, with pauses of 0.7 to 1.2 s."""
    random = np.random.default_rng(seed)
    gaps = random.uniform(0.03, 0.15, words)
    ends = np.cumsum(random.integers(1, 8, words))
    gaps[ends[ends < words]] = random.uniform(0.7, 1.2, (ends < words).sum())
    return assembled([str(word) for word in random.choice(WORDS, words)], gaps.tolist(), seed)[0]


def lips(sound: np.ndarray, noise: float, seed: int, lag: int = 2) -> np.ndarray:
    """An opening that follows a sound `lag` frames late, with unrelated motion of `noise` times its size."""
    count = int(len(sound) / RATE * FPS)
    level = np.roll(voice_level(sound, count, FPS), lag)
    opening = ndimage.gaussian_filter1d(np.clip(level - level.max() + 35, 0, None) / 35, 2)
    other = ndimage.gaussian_filter1d(np.random.default_rng(seed).normal(size=count), 3)
    return np.clip(0.3 * opening + 0.3 * noise * opening.std() * other / other.std(), 0, None)


def face(opening: np.ndarray, size: float = 0.1, at: tuple[float, float] = (0.5, 0.4)) -> np.ndarray:
    """Faces (T×68×3, float16) with this opening, over eyes `size` of the picture's height apart."""
    points = np.zeros((len(opening), 68, 3))
    points[:, FACE["right_eye_outer"], :2] = [-0.5, 0]
    points[:, FACE["left_eye_outer"], :2] = [0.5, 0]
    for upper, lower in LIPS:
        points[:, upper, 1] = 0.8
        points[:, lower, 1] = 0.8 + opening
    return (points * [size * HIGH / WIDE, size, size] + [*at, 0]).astype(np.float16)


def clip(sound: np.ndarray, opening: np.ndarray, seen: np.ndarray | None = None) -> dict:
    presence = np.ones((len(opening), 4), np.float16)
    if seen is not None:
        presence[~seen, 1] = 0
    points = face(opening)
    points[presence[:, 1] == 0] = 0
    [row] = AudioTags()([clip_of(sound, video_resolution=[HIGH, WIDE], fps=FPS)])
    return {**row, "frame_count": len(opening), "face_landmarks": points, "presence": presence}


@pytest.fixture(scope="module")
def speaking() -> Speaking:
    operator = Speaking()
    operator.setup()
    return operator


@pytest.mark.parametrize("noise", [0.3, 1.5])
@pytest.mark.parametrize("seed", range(3))
def test_who_speaks_is_kept(speaking, seed, noise):
    sound = talk(seed, 16)
    [row] = speaking([clip(sound, lips(sound, noise, seed))])
    assert row["error"] is None
    assert row["drop_reason"] is None
    assert row["mouth_speech"] > 0.3
    pa.Table.from_pylist([{name: row[name] for name in speaking.writes.names}], schema=speaking.writes)


def test_another_s_voice_is_dropped(speaking):
    sounds = [talk(seed, 40) for seed in range(100, 108)]
    count = min(map(len, sounds))
    sounds = [sound[:count] for sound in sounds]
    mouths = [lips(sound, 0.7, seed) for seed, sound in enumerate(sounds)]
    rows = list(speaking(clip(sound, mouth) for sound, mouth in zip(sounds, mouths[1:] + mouths[:1], strict=True)))
    reasons = [row["drop_reason"] for row in rows]
    assert set(reasons) <= {None, "someone_else_speaks"}
    assert reasons.count("someone_else_speaks") >= 5
    own = list(speaking(clip(sound, mouth) for sound, mouth in zip(sounds, mouths, strict=True)))
    assert max(row["mouth_speech"] for row in rows) < min(row["mouth_speech"] for row in own)
    assert {row["drop_reason"] for row in own} == {None}


def test_a_listener_with_still_lips_is_dropped(speaking):
    sound = talk(5, 16)
    count = int(len(sound) / RATE * FPS)
    still = np.full(count, 0.02)
    [row] = speaking([clip(sound, still)])
    assert row["drop_reason"] == "someone_else_speaks"
    trembling = still + np.random.default_rng(0).normal(0, 0.003, count)
    assert next(speaking([clip(sound, trembling)]))["mouth_speech"] < 0.35


def test_the_floor_decides(speaking):
    sound = talk(1, 16)
    row = clip(sound, lips(sound, 0.3, 1))
    strict = Speaking(Speaking.Settings(floor=0.99))
    assert next(strict([row]))["drop_reason"] == "someone_else_speaks"
    never = Speaking(Speaking.Settings(floor=-1))
    assert next(never([clip(sound, np.zeros(300))]))["drop_reason"] is None


@pytest.mark.parametrize("lag", [-5, 0, 5])
def test_a_picture_that_is_a_little_early_or_late_does_not_matter(lag):
    sound = talk(2, 16)
    mouth = lips(sound, 0.3, 2, lag)
    assert agreement(mouth, voice_level(sound, len(mouth), FPS), FPS) > 0.8


def test_frames_without_a_face_do_not_count(speaking):
    sound = talk(3, 20)
    mouth = lips(sound, 0.3, 3)
    seen = np.arange(len(mouth)) % 10 > 2
    [row] = speaking([clip(sound, mouth, seen)])
    assert row["mouth_speech"] > 0.7


def test_without_evidence_nobody_is_dropped(speaking, subtests):
    sound = talk(4, 16)
    still = np.full(int(len(sound) / RATE * FPS), 0.02)
    rows = {
        "no sound": {**clip(sound, still), "audio": None, "speech_spans": None},
        "no voice": {**clip(sound, still), "speech_spans": []},
        "no face": clip(sound, still, np.zeros(len(still), dtype=bool)),
        "face seldom": clip(sound, still, np.arange(len(still)) % 2 == 0),
        "no landmarks": {**clip(sound, still), "face_landmarks": None},
        "no pauses": {**clip(sound, still), "speech_spans": [[0.0, len(sound) / RATE]]},
        "pauses with music": clip(
            (sound + 6000 * np.sin(np.arange(len(sound)) * 0.2)).clip(-32768, 32767).astype(np.int16), still
        ),
    }
    for name, row in rows.items():
        with subtests.test(name):
            [result] = speaking([row])
            assert (result["error"], result["mouth_speech"], result["drop_reason"]) == (None, None, None)


def test_the_opening_follows_the_lips_whatever_the_size_and_place():
    opening = np.array([0.0, 0.1, 0.25, 0.5])
    for size, at in ((0.1, (0.5, 0.4)), (0.3, (0.2, 0.1)), (0.05, (0.7, 0.8))):
        assert mouth_opening(face(opening, size, at), WIDE / HIGH) == pytest.approx(opening, abs=0.02)
    assert np.isnan(mouth_opening(np.zeros((2, 68, 3)), 1.0)).all()


def test_levels_are_those_around_each_frame():
    sound = np.zeros(2 * RATE, np.int16)
    sound[RATE:] = (8000 * np.sin(np.arange(RATE))).round()
    level = voice_level(sound, 60, FPS)
    assert level.shape == (60,)
    assert level[:28].max() == pytest.approx(level[35:].min() - 40, abs=0.5)
    assert voice_level(np.ones(1, np.int16), 3, FPS).shape == (3,)


def test_no_frames_tell_nothing():
    empty = np.zeros(0, dtype=bool)
    assert not tells(empty, empty, np.zeros(0), FPS)


@pytest.mark.parametrize("name", ["gesture_oliver.mp4", "gesture_conan.mp4"])
def test_speech_without_clear_pauses_tells_nothing(shared_media, name):
    """The speech of the gesture clips runs on: where it pauses, the room is only 12 dB quieter."""
    from tests.operators.language.spoken_words import recording

    sound = recording(shared_media / name)
    [row] = AudioTags()([clip_of(sound)])
    level = voice_level(sound, 300, FPS)
    voiced = np.zeros(300, dtype=bool)
    for start, end in row["speech_spans"]:
        voiced[int(start * FPS) : int(np.ceil(end * FPS))] = True
    assert not tells(np.ones(300, dtype=bool), voiced, level, FPS)
