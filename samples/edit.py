"""A film as data: shots, words, music, and what is true of them.

`Film.truth()` is written beside the videos as JSON; tests hold the pipeline's results against it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from samples import music, pictures, speech
from samples.pictures import Camera, Lettering

DUCK = 10 ** (-22 / 20)  # the music's gain under speech
DUCK_RAMP = 0.2  # seconds to get there
MUSIC_LEVEL = 0.4


@dataclass(frozen=True, kw_only=True)
class Shot:
    """`frames` frames of a photograph under a moving camera, or of a plain card of one `colour`.

    `faces` counts the human faces in sight, from the front or the side, `people` the persons.
    """

    name: str
    frames: int
    photograph: str | None = None
    camera: Camera | None = None
    colour: tuple[int, int, int] = (0, 0, 0)
    text: tuple[Lettering, ...] = ()
    faces: int = 0
    people: int = 0
    fade_out: int = 0


@dataclass(frozen=True, kw_only=True)
class Line:
    """Words spoken from `start`, in seconds of the film."""

    start: float
    words: str


@dataclass(frozen=True, kw_only=True)
class Cue:
    """Music from `start` for `seconds`."""

    start: float
    seconds: float
    drums: bool = True
    tune: bool = True


@dataclass(frozen=True, kw_only=True)
class Film:
    """A whole video. `size` is (width, height) as displayed; `rotation` in degrees counter-clockwise, 0 or 90.

    Both sides are multiples of 16: x264's output is not reproducible where it has to pad.
    """

    name: str
    title: str
    size: tuple[int, int]
    rate: int
    shots: tuple[Shot, ...]
    lines: tuple[Line, ...] = ()
    cues: tuple[Cue, ...] = ()
    booms: tuple[float, ...] = ()
    rotation: int = 0

    @property
    def frames(self) -> int:
        """Number of frames."""
        return sum(shot.frames for shot in self.shots)

    @property
    def seconds(self) -> float:
        """Duration in seconds."""
        return self.frames / self.rate

    @property
    def has_audio(self) -> bool:
        """Whether the film has a sound track."""
        return bool(self.lines or self.cues or self.booms)

    def pictures(self) -> Iterator[np.ndarray]:
        """Every frame as displayed: uint8 RGB of shape (height, width, 3)."""
        for shot in self.shots:
            if shot.photograph is not None and shot.camera is not None:
                end = shot.camera.crop(shot.frames / self.rate, self.size[0] / self.size[1])[2]
                still = pictures.still(shot.photograph, min(shot.camera.width, end), self.size[0])
            else:
                still = None
                plain = pictures.card(self.size, shot.colour)
            for index in range(shot.frames):
                if still is not None and shot.camera is not None:
                    plain = still.frame(shot.camera, index / self.rate, self.size)
                light = min(1.0, (shot.frames - index) / (shot.fade_out + 1))
                frame = pictures.write(plain, shot.text)
                yield frame if light == 1 else np.rint(frame * light).astype(np.uint8)

    def sound(self) -> tuple[np.ndarray, list[tuple[float, float, str]]]:
        """The sound track, float32 of shape (samples, 2) at `music.RATE`, and each line's (start, end, words)."""
        total = round(self.seconds * music.RATE)
        score, voice, gain = np.zeros((total, 2)), np.zeros((total, 2)), np.ones(total)
        for cue in self.cues:
            part = MUSIC_LEVEL * music.score(cue.seconds, cue.drums, cue.tune)
            first = round(cue.start * music.RATE)
            score[first : first + len(part)] += part
        spans = []
        for line in self.lines:
            spoken = speech.say(line.words)
            first = round(line.start * music.RATE)
            voice[first : first + len(spoken)] += spoken
            end = line.start + len(spoken) / music.RATE
            spans.append((line.start, round(end, 2), line.words))
            time = np.arange(total) / music.RATE
            away = np.maximum(line.start - time, time - end)
            gain = np.minimum(gain, DUCK + (1 - DUCK) * np.clip(away / DUCK_RAMP, 0, 1))
        for start in self.booms:
            part = music.boom()
            first = round(start * music.RATE)
            score[first : first + len(part)] += part
        mix = np.clip(score * gain[:, None] + voice, -0.98, 0.98)
        return mix.astype(np.float32), spans

    def truth(self, spans: list[tuple[float, float, str]]) -> dict[str, Any]:
        """What is true of the film, in frames and seconds; `spans` from `sound`."""
        starts = [sum(shot.frames for shot in self.shots[:index]) for index in range(len(self.shots))]
        return {
            "file": f"videos/{self.name}.mp4",
            "title": self.title,
            "width": self.size[0],
            "height": self.size[1],
            "rotation": self.rotation,
            "fps": self.rate,
            "frames": self.frames,
            "duration": self.seconds,
            "audio": self.has_audio,
            "cuts": starts[1:],
            "shots": [self._shot_truth(shot, start, spans) for shot, start in zip(self.shots, starts, strict=True)],
            "speech": [{"start": start, "end": end, "text": words} for start, end, words in spans],
            "music": [
                {"start": cue.start, "end": cue.start + cue.seconds, "tempo": music.TEMPO, "key": music.KEY}
                for cue in self.cues
            ],
        }

    def _shot_truth(self, shot: Shot, first: int, spans: list[tuple[float, float, str]]) -> dict[str, Any]:
        start, end = first / self.rate, (first + shot.frames) / self.rate
        spoken = [words for line_start, line_end, words in spans if line_start < end and line_end > start]
        played = any(cue.start < end and cue.start + cue.seconds > start for cue in self.cues)
        struck = any(start <= boom < end for boom in self.booms)
        names = [n for n, there in (("speech", spoken), ("music", played), ("effect", struck)) if there]
        camera = shot.camera or Camera(x=0, y=0, width=1)
        return {
            "name": shot.name,
            "frames": [first, first + shot.frames],
            "time": [start, end],
            "photograph": shot.photograph,
            "camera": {"pan_x": camera.pan_x, "pan_y": camera.pan_y, "zoom": camera.zoom},
            "people": shot.people,
            "faces": shot.faces,
            "text": [lettering.words for lettering in shot.text],
            "speech": spoken,
            "sound": " and ".join(names) or "silence",
        }
