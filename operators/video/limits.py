"""What reading one hostile video may cost: time, memory, pixels, streams, output.

A limit of time or memory that is passed is a failure of kind timeout or out_of_memory, and is tried again in
a fresh process; the others are a refusal, and are not. Messages name the setting to raise.
"""

from __future__ import annotations

from dataclasses import dataclass

from pydantic import Field

from operators import contract


class LimitSettings(contract.Settings):
    """Limits of a decoding process, for one request: a pass over a video, or a span of it.

    Wall-clock time grows with what comes out, so that a long film passes and a file that yields nothing does
    not: three hours at 25 frames a second may take 15.5 hours on the clock, and 4 of CPU time.
    """

    stall_seconds: float = Field(default=120.0, gt=0, description="a decoder silent for this long is killed")
    cpu_seconds: float = Field(default=14400.0, gt=0, description="CPU time that decoding one video or clip may take")
    wall_seconds: float = Field(
        default=1800.0, gt=0, description="time by the clock that it may take beside seconds_per_frame"
    )
    seconds_per_frame: float = Field(
        default=0.2, ge=0, description="time by the clock that each frame adds to wall_seconds"
    )
    memory_mb: int = Field(default=1500, ge=200, description="memory in MiB that the decoding process may hold")
    max_pixels: int = Field(
        default=40_000_000, ge=1, description="pixels of a frame (8K has 33 million); larger videos are refused"
    )
    max_streams: int = Field(
        default=300, ge=1, le=1000, description="streams of a file, subtitles too; files with more are refused"
    )


@dataclass(frozen=True, kw_only=True)
class Limits:
    """`LimitSettings` as the decoding process takes them. Time that the reader takes between events is no stall.

    `owner`: the operator whose settings these are, as messages name it. `output_mb`: MiB of clips that a
    request may yield, None for as many as it asked for.
    """

    owner: str = "shots"
    stall_seconds: float = 120.0
    cpu_seconds: float = 14400.0
    wall_seconds: float = 1800.0
    seconds_per_frame: float = 0.2
    memory_mb: int = 1500
    max_pixels: int = 40_000_000
    max_streams: int = 300
    output_mb: int | None = None

    def wall_allowed(self, frames: int) -> float:
        """Seconds by the clock that decoding may have taken once `frames` frames came out."""
        return self.wall_seconds + self.seconds_per_frame * frames
