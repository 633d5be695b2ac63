"""MMTrail: trailers → clips in quality tiers → captions of picture, sound and speech → one caption per clip.

    python -m jobs.mmtrail --input videos/ --output out/

After the data set of "MMTrail: A Multimodal Trailer Video Dataset with Language and Music
Descriptions" (Chi et al., 2024, arXiv 2407.20962). To add an operator, write its file in `operators/` and put it in
the list.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

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


def base() -> list[type[Operator]]:
    """One GPU: small open models for what can be seen and heard, a language model for what is told of it."""
    from operators.audio.clap_tags import ClapTags
    from operators.audio.retrieved_music import RetrievedMusic
    from operators.audio.tags import SoundMeasures
    from operators.language.fused import ModelFusion
    from operators.language.scene import SceneCaption
    from operators.language.whisper_speech import WhisperSpeech
    from operators.video.aesthetics import Aesthetics
    from operators.video.frame_captions import FrameCaptions
    from operators.video.people import People
    from operators.video.quality import PictureMeasures
    from operators.video.screen_text import ScreenText
    from operators.video.shots import SplitShots
    from operators.video.tiers import ScoredTiers

    return [
        SplitShots,  # one pass over the video: shots, motion, keyframes, audio
        PictureMeasures,  # sharpness, exposure, colours
        ScreenText,  # the text in the picture, and how much of it is text
        Aesthetics,  # CLIP: aesthetic score, image quality, embedding
        ScoredTiers,  # hq, visual, or dropped with a reason
        People,  # how many, where, how large
        SoundMeasures,  # speech, music, silence, loudness: what gates the models of sound
        FrameCaptions,  # a caption for each keyframe
        SceneCaption,  # hq: a vision-language model on all keyframes together
        ClapTags,  # CLAP: what is heard
        RetrievedMusic,  # CLAP and measures: the music in words
        WhisperSpeech,  # transcript with word times
        ModelFusion,  # one paragraph of all, by a language model, checked
    ]


BASE: dict[str, dict[str, Any]] = {
    "aesthetics": {"gpus": 0.06},
    "frames": {"gpus": 0.1},
    "tags": {"gpus": 0.08},
    "music": {"gpus": 0.09},
    "speech": {"gpus": 0.1},
}
"""Shares of one GPU of 40 GB or more; the two language models split the rest."""

CLUSTER: dict[str, dict[str, Any]] = {
    "aesthetics": {"gpus": 0.1},
    "frames": {
        "gpus": 0.2,
        "model": "Salesforce/blip-image-captioning-large@353689b859fcf0523410b1806dace5fb46ecdf41",
    },
    "tags": {"gpus": 0.15},
    "music": {"gpus": 0.15},
    "speech": {"gpus": 0.4, "model": "large-v3-turbo"},
    "caption": {"gpus": 1.0, "model": "Qwen/Qwen2.5-VL-7B-Instruct@cc594898137f460bfe9f0759e9844b3ce807cfb5"},
    "fusion": {"gpus": 1.0, "model": "Qwen/Qwen2.5-7B-Instruct@a09a35458c702b33eeacc393d103063234e8bc28"},
}
"""Three GPUs at least, and as many as there are: one for the small models, one for each language model."""

MMTRAIL = Job(
    name="mmtrail",
    summary="Turn videos into a data set of annotated clips, as MMTrail did with trailers.",
    examples=(
        "python -m jobs.mmtrail --input list.csv --output out/ --set shots.threshold=27 --set tiers.hq.min_height=480",
    ),
    presets={
        "lite": Preset(summary="any laptop, no GPU, no model downloads", operators=lite),
        "base": Preset(summary="one GPU of 40 GB, small open models", operators=base, settings=BASE),
        "cluster": Preset(summary="three GPUs or more, larger models", operators=base, settings=CLUSTER),
    },
)


def main(argv: Sequence[str] | None = None, execute: Execute | None = None) -> int:
    """Run the command line `argv` and return its exit code."""
    return run_job(MMTRAIL, argv, execute)


if __name__ == "__main__":
    sys.exit(main())
