"""The music of a clip as it is measured: tempo, key, and its passages, each judged between the voices.

Music is judged on the frames with music and without voice activity. Where a clip has under 4 s of these,
no key is named, and a tempo only for a clear beat (clarity 0.4), measured on all its music; where a
passage has under 1 s of these, it is measured with voices over it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from operators.audio import activity, key, partials, presence, pulse, spectrum, waveform
from operators.audio.music_words import Passage, clock, voices
from operators.contract import Row

WINDOW = 10.0  # s: the length of the passages that MMTrail's music captions cover
REMAINDER = 5.0  # s: a shorter last passage joins the one before it
CLEAR_OF_VOICES = 4.0  # s of music without voices that are enough to judge it by
PASSAGE_CLEAR = 1.0  # s: the same for a passage


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A passage of a clip with enough music: `time` as "m:ss-m:ss" from the clip's start, and what was measured.

    `samples` are the passage's own; `clear` says where they hold music and no voice, one value per 20 ms.
    """

    time: str
    measured: Passage
    samples: waveform.Samples
    clear: NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class MeasuredMusic:
    """What was measured of a clip's music. `tempo` in beats per minute; `voices` says how much voice is over it."""

    tempo: float | None
    key: str | None
    voices: str | None
    stretches: tuple[Stretch, ...]

    def columns(self, texts: Sequence[str]) -> Row:
        """The columns of music, with a text for each stretch."""
        captions = [{"text": text, "time": part.time} for text, part in zip(texts, self.stretches, strict=True)]
        return {
            "tempo": self.tempo,
            "key": self.key,
            "music_caption": captions or None,
            "vocal_caption": self.voices,
        }


def measure_music(clip: Row, *, min_share: float, min_seconds: float) -> MeasuredMusic | None:
    """The music of a clip row with `audio`, `clip_duration`, `music_share` and `speech_spans`.

    None where the share of music is under `min_share`, the clip is shorter than `min_seconds`, or no audio
    is there. Raises `RowFailure` (bad_output) for a broken sample.
    """
    samples = waveform.read_samples(clip.get("audio"))
    share = clip.get("music_share")
    if samples is None or not share or share < min_share:
        return None
    if min(len(samples) / waveform.SAMPLE_RATE, clip["clip_duration"]) < min_seconds:
        return None
    onsets = pulse.onsets(samples)
    spans = clip.get("speech_spans") or []
    beaten = pulse.beaten(onsets, activity.covered(spans, len(onsets), pulse.RATE))
    music = presence.music_frames(samples, beaten)
    if music is None or not music.any():
        return None
    voiced = activity.covered(spans, len(music), spectrum.FRAME_RATE)
    judged = _judged(music, voiced, CLEAR_OF_VOICES)
    clear = not (judged & voiced).any()
    tempo = pulse.find_pulse(onsets, _at(judged, len(onsets), pulse.RATE))
    beat = tempo if tempo is not None and tempo.clarity >= (pulse.AUDIBLE if clear else pulse.CLEAR) else None
    pitches = key.pitch_classes(samples)
    pitches = pitches[_at(judged, len(pitches), waveform.SAMPLE_RATE / key.HOP)]
    found = key.find_key(pitches.sum(axis=0)) if clear else None
    named = found.name if found is not None and found.fit >= key.CONVINCING else None
    stretches = []
    for frames in _passages(len(music)):
        if music[frames].mean() < min_share:
            continue
        own = samples[_samples(frames)]
        stretches.append(
            Stretch(
                time=f"{clock(frames.start / spectrum.FRAME_RATE)}-{clock(frames.stop / spectrum.FRAME_RATE)}",
                measured=_measured(own, music[frames], voiced[frames], beat, named),
                samples=own,
                clear=music[frames] & ~voiced[frames],
            )
        )
    return MeasuredMusic(
        tempo=None if beat is None else beat.tempo,
        key=named,
        voices=voices(float((music & voiced).sum()) / spectrum.FRAME_RATE, float(music.sum()) / spectrum.FRAME_RATE),
        stretches=tuple(stretches),
    )


def _measured(
    samples: waveform.Samples,
    music: NDArray[np.bool_],
    voiced: NDArray[np.bool_],
    beat: pulse.Pulse | None,
    named: str | None,
) -> Passage:
    judged = _judged(music, voiced, PASSAGE_CLEAR)
    squares = waveform.mean_squares(samples, spectrum.HOP)[judged]
    amplitudes = spectrum.magnitudes(samples, 0, len(music))[judged]
    third = max(1, len(squares) // 3)
    return Passage(
        tempo=None if beat is None else beat.tempo,
        clarity=0.0 if beat is None else beat.clarity,
        key=named,
        loudness=float(waveform.decibels(float(squares.mean()))),
        rise=float(waveform.decibels(squares[-third:].mean()) - waveform.decibels(squares[:third].mean())),
        centroid=_centroid(amplitudes),
        sustained=float(partials.activation(samples).mean()),
        voiced=bool((music & voiced).any()),
        between_voices=not bool((judged & voiced).any()),
    )


def _centroid(amplitudes: NDArray[np.float32]) -> float:
    """Median over the frames of the spectral centroid in Hz; 0 for silence."""
    frequency = np.arange(amplitudes.shape[1]) * spectrum.BIN
    weight = amplitudes.sum(axis=1)
    return float(np.median((amplitudes @ frequency) / np.maximum(weight, spectrum.FLOOR)))


def _judged(music: NDArray[np.bool_], voiced: NDArray[np.bool_], enough: float) -> NDArray[np.bool_]:
    """Frames with music and without a voice, or all with music where those last less than `enough` seconds."""
    clear = music & ~voiced
    return clear if clear.sum() >= enough * spectrum.FRAME_RATE else music


def _at(mask: NDArray[np.bool_], count: int, rate: float) -> NDArray[np.bool_]:
    """A mask over frames of 20 ms, read at `count` points of `rate` per second."""
    positions = (np.arange(count) * (spectrum.FRAME_RATE / rate)).astype(int)
    return mask[np.minimum(positions, len(mask) - 1)]


def _passages(frames: int) -> list[slice]:
    """The clip's frames in passages of 10 s; a remainder under 5 s joins the last one."""
    length = int(WINDOW * spectrum.FRAME_RATE)
    starts = list(range(0, frames, length))
    if len(starts) > 1 and frames - starts[-1] < REMAINDER * spectrum.FRAME_RATE:
        starts.pop()
    return [slice(start, stop) for start, stop in zip(starts, [*starts[1:], frames], strict=True)]


def _samples(frames: slice) -> slice:
    return slice(frames.start * spectrum.HOP, frames.stop * spectrum.HOP)
