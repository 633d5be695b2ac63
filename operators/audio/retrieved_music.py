"""Music in words that LAION-CLAP finds for it, beside what is measured of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydantic import Field

from operators.audio import clap, spectrum, waveform
from operators.audio.clap import Clap
from operators.audio.music import Music
from operators.audio.music_vocabulary import ASPECTS, CONTRASTS, GENRE, INSTRUMENT, MOOD, Aspect
from operators.audio.music_words import describe
from operators.audio.passages import MeasuredMusic, Stretch, measure_music
from operators.contract import Resources, Row, tuning
from operators.errors import RowFailure
from operators.language.phrases import listing
from operators.models.files import ModelFiles
from operators.models.operator import ModelOperator, ModelSettings

MODEL = "laion/larger_clap_music_and_speech@195c3a3e68faebb3e2088b9a79e79b43ddbda76b"
HEARD = 2.0  # s of music without voices that a passage needs before the model is asked
FADE = waveform.SAMPLE_RATE // 200  # samples: 5 ms at each cut, so that cuts do not click

Said = dict[Aspect, list[str]]
"""The labels that reached the floor, best first, for each aspect."""


class RetrievedMusicSettings(ModelSettings):
    """When music is described, and how sure the model must be of a word."""

    model: str = Field(default=MODEL, description="unfused CLAP model that knows music")
    min_share: float = Field(
        default=0.3, ge=0, le=1, description="share of a clip with music from which it is described"
    )
    min_seconds: float = Field(default=5.0, ge=2, le=600, description="clips shorter than this are not described")
    floor: float = Field(
        default=0.3, ge=0, le=1, description="share among its rivals from which a genre, instrument or mood is named"
    )
    windows: int = tuning(32, ge=1, le=1024, description="windows of 10 s that the model hears at once")


class RetrievedMusic(ModelOperator):
    """The measured music of `Music`, with genre, instruments and mood where LAION-CLAP is sure of them.

    The columns and measures are those of `operators/audio/music.py`. To each passage's sentence the model
    adds another, worded as a guess: "It sounds like ambient music, perhaps with piano; its mood seems
    calm." It hears only what lies between the voices: samples with voice activity, spoken or sung, are cut
    out first, and a passage with less than 2 s of music left is described by its measures alone. Labels
    compete with the others of their aspect and with speech, noise and silence; a label is said where it
    gets the floor's share of all. Clips without music, or shorter than `min_seconds`, get nulls.
    """

    name = "music"
    reads = Music.reads
    writes = Music.writes
    Settings = RetrievedMusicSettings
    needs = Resources(memory_mb=3000, gpu_memory_mb=3500)

    def files(self) -> tuple[ModelFiles, ...]:
        return (clap.clap_files("music.model", self.settings.model),)

    def setup(self) -> None:
        super().setup()
        [wanted] = self.files()
        self._model = Clap(self.located(wanted), wanted.setting, self.device, self.precision)
        self._sentences = {aspect: self._model.sentences([*aspect.prompts, *CONTRASTS]) for aspect in ASPECTS}

    def annotate(self, clips: Sequence[Row]) -> Sequence[Row | RowFailure]:
        found = [self._measured(clip) for clip in clips]
        heard = [_heard(part) for music in found if isinstance(music, MeasuredMusic) for part in music.stretches]
        pieces = [piece for part in heard for piece in part.pieces]
        vectors = [row for run in self.portions(pieces, self.settings.windows) for row in self._model.sounds(run)]
        first = 0
        texts = []
        for part in heard:
            texts.append(self._text(part, vectors[first : first + len(part.pieces)]))
            first += len(part.pieces)
        results: list[Row | RowFailure] = []
        for music in found:
            if isinstance(music, MeasuredMusic):
                results.append(music.columns(texts[: len(music.stretches)]))
                del texts[: len(music.stretches)]
            else:
                results.append(music if music is not None else dict.fromkeys(self.writes.names))
        return results

    def _measured(self, clip: Row) -> MeasuredMusic | RowFailure | None:
        try:
            return measure_music(clip, min_share=self.settings.min_share, min_seconds=self.settings.min_seconds)
        except RowFailure as problem:
            return problem

    def _text(self, part: _Heard, vectors: Sequence[clap.Vectors]) -> str:
        stated = describe(part.stretch.measured)
        if not part.pieces:
            return stated
        sound = clap.pooled(np.stack(vectors), part.pieces)[None]
        said: Said = {}
        for aspect, sentences in self._sentences.items():
            scores = clap.shares(sound, sentences, self._model.scale)[0, : len(aspect.labels)]
            best = sorted(range(len(scores)), key=lambda index: (-scores[index], index))[: aspect.most]
            said[aspect] = [aspect.labels[index] for index in best if scores[index] >= self.settings.floor]
        return f"{stated} {guess}" if (guess := worded(said)) else stated


@dataclass(frozen=True)
class _Heard:
    """A passage, and the windows in which the model hears it; none where too little music is free of voices."""

    stretch: Stretch
    pieces: list[waveform.Samples]


def _heard(stretch: Stretch) -> _Heard:
    samples = between_voices(stretch)
    return _Heard(stretch, clap.windows(samples) if len(samples) >= HEARD * waveform.SAMPLE_RATE else [])


def between_voices(stretch: Stretch) -> waveform.Samples:
    """The passage's music without its voices: clear runs one after the other, faded over 5 ms at each cut."""
    edges = np.flatnonzero(np.diff(stretch.clear.astype(np.int8), prepend=0, append=0))
    parts = []
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        part = stretch.samples[start * spectrum.HOP : stop * spectrum.HOP]
        gain = np.ones(len(part))
        ramp = np.linspace(0, 1, min(FADE, len(part) // 2))
        if start > 0:
            gain[: len(ramp)] = ramp
        if stop < len(stretch.clear):
            gain[len(part) - len(ramp) :] = ramp[::-1]
        parts.append(np.round(part * gain).astype(np.int16))
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int16)


def worded(said: Said) -> str:
    """The labels as one sentence of guesses; "" for none."""
    genres, instruments, moods = (said.get(aspect, []) for aspect in (GENRE, INSTRUMENT, MOOD))
    parts = []
    if genres:
        parts.append(f"it sounds like {listing(genres)} music")
    if instruments:
        parts.append(f"{'perhaps with' if genres else 'it perhaps has'} {listing(instruments)}")
    sentence = ", ".join(parts)
    if moods:
        sentence = "; ".join(filter(None, [sentence, f"its mood seems {listing(moods)}"]))
    return f"{sentence[0].upper()}{sentence[1:]}." if sentence else ""
