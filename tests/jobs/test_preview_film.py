from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from jobs.preview_film import Film, sound_of

RATE = 16_000


def tone(seconds: float, hertz: float = 440.0) -> np.ndarray:
    return (12_000 * np.sin(2 * np.pi * hertz * np.arange(int(seconds * RATE)) / RATE)).astype(np.int16)


def shades(frames: int, width: int = 64, height: int = 48) -> list[np.ndarray]:
    return [np.full((height, width, 3), 20 + 3 * k, np.uint8) for k in range(frames)]


def write(path: Path, fps: float, frames: int, samples: np.ndarray) -> Path:
    with Film(path, fps, (64, 48), samples) as film:
        for picture in shades(frames):
            film.add(picture)
    return path


@pytest.mark.parametrize("fps", [15.0, 25.0, 30.0, 30000 / 1001])
def test_pictures_and_sound_keep_their_time(tmp_path: Path, fps: float):
    path = write(tmp_path / "a.mp4", fps, 50, tone(50 / fps))
    with av.open(str(path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, audio.codec_context.name) == ("h264", "aac")
        assert float(video.average_rate or 0) == pytest.approx(fps, rel=1e-4)
        assert float(audio.duration * audio.time_base) == pytest.approx(50 / fps, abs=0.1)  # pyright: ignore
        pictures = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(pictures) == 50
    assert [float(picture.mean()) for picture in pictures] == pytest.approx([20 + 3 * k for k in range(50)], abs=4)


def test_a_film_without_sound_has_no_sound(tmp_path: Path):
    path = write(tmp_path / "a.mp4", 25, 10, np.zeros(0, np.int16))
    with av.open(str(path)) as container:
        assert not container.streams.audio
    assert len(sound_of(path, 0, 0.4)) == 0


def test_the_sound_of_a_span_is_found(tmp_path: Path):
    samples = np.concatenate([np.zeros(RATE, np.int16), tone(2.0)])
    path = write(tmp_path / "a.mp4", 25, 75, samples)
    found = sound_of(path, 0.5, 1.5)
    assert len(found) == RATE
    quiet, loud = np.abs(found[: RATE // 2 - 1600]), np.abs(found[RATE // 2 + 1600 :])
    assert quiet.mean() < 200
    assert loud.mean() > 5000
    late = sound_of(path, 2.5, 3.5)
    assert np.abs(late[: RATE // 2 - 1600]).mean() > 5000
    assert not late[RATE // 2 + 3200 :].any()


def test_what_cannot_be_heard_is_silence(tmp_path: Path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"no film")
    assert len(sound_of(path, 0, 1)) == 0
    assert len(sound_of(tmp_path / "none.mp4", 0, 1)) == 0
