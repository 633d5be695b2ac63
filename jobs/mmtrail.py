"""MMTrail: trailers → clips in quality tiers → captions of picture, sound and speech → one caption per clip.

    python -m jobs.mmtrail --input videos/ --output out/

After the data set of "MMTrail: A Multimodal Trailer Video Dataset with Language and Music
Descriptions" (Chi et al., 2024, arXiv 2407.20962). To add an operator, write its file in `operators/` and put it in
the list.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from jobs.command import Execute, Job, Preset, run_job

if TYPE_CHECKING:
    from operators.contract import Operator


def lite() -> list[type[Operator]]:
    """Any laptop: no GPU and no downloads; measures and states what it measured."""
    from operators.audio.music import Music
    from operators.audio.tags import AudioTags
    from operators.language.caption import StatedCaption
    from operators.language.fusion import StatedFusion
    from operators.language.speech import Speech
    from operators.video.people import People
    from operators.video.quality import Quality
    from operators.video.shots import SplitShots
    from operators.video.text import TextCoverage
    from operators.video.tiers import Tiers

    return [
        SplitShots,  # one pass over the video: shots, motion, keyframes, audio
        Quality,  # sharpness, exposure, colours
        TextCoverage,  # how much of the picture is text
        Tiers,  # hq, visual, or dropped with a reason
        People,  # how many, where, how large
        StatedCaption,  # the picture in words
        AudioTags,  # speech, music, silence, loudness
        Music,  # tempo, key, energy, and the music in words
        Speech,  # transcript with word times
        StatedFusion,  # one paragraph of all
    ]


MMTRAIL = Job(
    name="mmtrail",
    summary="Turn videos into a data set of annotated clips, as MMTrail did with trailers.",
    presets={"lite": Preset(summary="any laptop, no GPU, no model downloads", operators=lite)},
    planned=("base", "cluster"),
)


def main(argv: Sequence[str] | None = None, execute: Execute | None = None) -> int:
    """Run the command line `argv` and return its exit code."""
    return run_job(MMTRAIL, argv, execute)


if __name__ == "__main__":
    sys.exit(main())
