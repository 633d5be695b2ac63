"""Music: tempo, key and a description, where music was found."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from pydantic import Field

from operators import columns
from operators.audio.music_words import describe
from operators.audio.passages import measure_music
from operators.contract import ClipOperator, Row
from operators.contract import Settings as BaseSettings


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
        found = measure_music(clip, min_share=self.settings.min_share, min_seconds=self.settings.min_seconds)
        if found is None:
            return dict.fromkeys(self.writes.names)
        return found.columns([describe(part.measured) for part in found.stretches])
