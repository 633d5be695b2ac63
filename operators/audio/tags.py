"""Audio tags: what a clip's sound consists of, measured without a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydantic import Field

from operators import columns
from operators.audio import activity, presence, pulse, spectrum, waveform
from operators.contract import ClipOperator, Row
from operators.contract import Settings as BaseSettings

LOUD = -20.0  # dBFS of a tenth of a second: about the level of mastered music
QUIET = -40.0  # dBFS: room tone and distant sound
WORTH_A_TAG = 0.01  # smallest score that is written
MEASURED_TAGS = frozenset({"speech", "music", "beat", "silence", "loud", "quiet", "other"})
"""Names of the tags that are measured. A model's labels must not bear them."""


class AudioTags(ClipOperator):
    """Loudness, voice activity, music, silence and tags of a clip's sound.

    The tags and their scores, each a share of the clip from 0 to 1:

    - `speech`: voice activity, spoken or sung (operators/audio/activity.py)
    - `music`: sustained notes or a clear beat (operators/audio/presence.py); speech and music may overlap
    - `beat`: a clear, regular beat, where 4 of 6 s are free of voices (operators/audio/pulse.py)
    - `silence`: tenths of a second under the silence floor
    - `loud`, `quiet`: tenths of a second over −20 dBFS, and from the silence floor to −40 dBFS
    - `other`: sound that is none of speech, music and silence

    Clips without audio get nulls. `music_share`, and with it `music` and `other`, is missing where the
    clip is too short to tell (under 1.28 s). Raises `RowFailure` (bad_output) for a broken sample.
    """

    name = "audio"
    reads = ("audio",)
    writes: pa.Schema = columns.select(
        "loudness", "speech_share", "speech_spans", "music_share", "silence_share", "audio_tags", "energy"
    )

    class Settings(BaseSettings):
        silence_floor: float = Field(
            default=-60.0, ge=-96, le=0, description="level in dBFS under which sound is silence"
        )

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [self._measured(clip) for clip in clips]

    def _measured(self, clip: Row) -> Row:
        samples = waveform.read_samples(clip.get("audio"))
        if samples is None:
            return dict.fromkeys(self.writes.names)
        spans = activity.speech_spans(samples)
        curve = pulse.onsets(samples)
        beaten = pulse.beaten(curve, activity.covered(spans, len(curve), pulse.RATE))
        music = presence.music_frames(samples, beaten)
        tenths = waveform.decibels(waveform.mean_squares(samples, waveform.LEVEL_FRAME))
        silent = tenths < self.settings.silence_floor
        speech_share = min(1.0, sum(end - start for start, end in spans) * waveform.SAMPLE_RATE / len(samples))
        scores = {
            "speech": speech_share,
            "beat": float(beaten.mean()),
            "silence": float(silent.mean()),
            "loud": float((tenths > LOUD).mean()),
            "quiet": float(((tenths < QUIET) & ~silent).mean()),
        }
        if music is not None:
            scores["music"] = float(music.mean())
            scores["other"] = _other(music, silent, spans)
        return {
            "loudness": waveform.loudness(samples),
            "speech_share": speech_share,
            "speech_spans": [list(span) for span in spans],
            "music_share": scores.get("music"),
            "silence_share": scores["silence"],
            "audio_tags": [
                {"tag": tag, "score": score}
                for tag, score in sorted(scores.items(), key=lambda item: (-item[1], item[0]))
                if score >= WORTH_A_TAG
            ],
            "energy": waveform.energy(samples).tolist(),
        }


class SoundMeasures(AudioTags):
    """Loudness, voice activity, music and silence of a clip's sound, where a model writes the tags.

    The measures of `AudioTags` without its tags, under the same name: what the gates of music and speech
    read. No tag named `beat` is written then, so that a caption stated from measures leaves the beat out.
    """

    writes: pa.Schema = pa.schema([field for field in AudioTags.writes if field.name != "audio_tags"])

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row]:
        return [{name: row[name] for name in self.writes.names} for row in super().annotate(clips)]


def _other(music: NDArray[np.bool_], silent: NDArray[np.bool_], spans: list[activity.Span]) -> float:
    """Share of the frames of 20 ms that are none of music, silence (given per 0.1 s) and voice."""
    quiet = np.repeat(silent, waveform.LEVEL_FRAME // spectrum.HOP)[: len(music)]
    return float(1 - (music | quiet | activity.covered(spans, len(music), spectrum.FRAME_RATE)).mean())
