"""Music: tempo, key and a description, where music was found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from operators import columns
from operators.audio import activity, key, partials, presence, pulse, spectrum, waveform
from operators.audio.music_words import Passage, clock, describe, voices
from operators.contract import ClipOperator, Row
from operators.contract import Settings as BaseSettings

WINDOW = 10.0  # s: the length of the passages that MMTrail's music captions cover
REMAINDER = 5.0  # s: a shorter last passage joins the one before it
CLEAR_OF_VOICES = 4.0  # s of music without voices that are enough to judge it by
PASSAGE_CLEAR = 1.0  # s: the same for a passage


class Music(ClipOperator):
    """Tempo, key and a caption stated from measures; only where music was found and the clip is long enough.

    - `tempo`: operators/audio/pulse.py, null where no regular beat is measured (clarity under 0.12)
    - `key`: operators/audio/key.py, null where no key fits (correlation under 0.6)
    - `music_caption`: a sentence for each 10 s that has a share of music of `min_share` or more, as {text, time}, with
      `time` as "m:ss-m:ss" from the clip's start. (MMTrail's own captions come from a tool that writes
      "0:00-10:00" for the first ten seconds; the columns are the same, the notation is this one.)
    - `vocal_caption`: for how long voices were measured over the music, spoken or sung; null without voices

    Music is judged on the frames with music and without voice activity. Where a clip has under 4 s of
    these, no key is named, and a tempo only for a clear beat (clarity 0.4), measured on all its music;
    where a passage has under 1 s of these, its caption says that it was measured with voices over it.
    Clips without music, or shorter than `min_seconds`, get nulls.
    """

    name = "music"
    reads = ("audio", "clip_duration", "music_share", "speech_spans")
    writes: pa.Schema = columns.select("tempo", "key", "music_caption", "vocal_caption")

    class Settings(BaseSettings):
        min_share: float = Field(
            default=0.3, ge=0, le=1, description="share of a clip with music from which it is described"
        )
        min_seconds: float = Field(default=5.0, ge=2, le=600, description="clips shorter than this are not described")

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [self._described(clip) for clip in clips]

    def _described(self, clip: Row) -> Row:
        samples = waveform.read_samples(clip.get("audio"))
        share = clip.get("music_share")
        if samples is None or not share or share < self.settings.min_share:
            return dict.fromkeys(self.writes.names)
        seconds = len(samples) / waveform.SAMPLE_RATE
        if min(seconds, clip["clip_duration"]) < self.settings.min_seconds:
            return dict.fromkeys(self.writes.names)
        onsets = pulse.onsets(samples)
        spans = clip.get("speech_spans") or []
        beaten = pulse.beaten(onsets, activity.covered(spans, len(onsets), pulse.RATE))
        music = presence.music_frames(samples, beaten)
        if music is None or not music.any():
            return dict.fromkeys(self.writes.names)
        voiced = activity.covered(spans, len(music), spectrum.FRAME_RATE)
        judged = _judged(music, voiced, CLEAR_OF_VOICES)
        clear = not (judged & voiced).any()
        tempo = pulse.find_pulse(onsets, _at(judged, len(onsets), pulse.RATE))
        beat = tempo if tempo is not None and tempo.clarity >= (pulse.AUDIBLE if clear else pulse.CLEAR) else None
        pitches = key.pitch_classes(samples)
        pitches = pitches[_at(judged, len(pitches), waveform.SAMPLE_RATE / key.HOP)]
        found = key.find_key(pitches.sum(axis=0)) if clear else None
        named = found.name if found is not None and found.fit >= key.CONVINCING else None
        captions = [
            {"text": describe(self._passage(samples[_samples(frames)], music[frames], voiced[frames], beat, named)),
             "time": f"{clock(frames.start / spectrum.FRAME_RATE)}-{clock(frames.stop / spectrum.FRAME_RATE)}"}
            for frames in _passages(len(music))
            if music[frames].mean() >= self.settings.min_share
        ]  # fmt: skip
        return {
            "tempo": None if beat is None else beat.tempo,
            "key": named,
            "music_caption": captions or None,
            "vocal_caption": voices(
                float((music & voiced).sum()) / spectrum.FRAME_RATE, float(music.sum()) / spectrum.FRAME_RATE
            ),
        }

    def _passage(
        self,
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
