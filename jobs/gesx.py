"""GES-X: talks → clips of one speaker → SMPL-X poses, face and hands per frame, words and phonemes, on one clock.

    python -m jobs.gesx --input talks/ --output out/

After the data set of "CoCoGesture: Toward Coherent Co-speech 3D Gesture Generation in the Wild" (Qi et al.,
2024, arXiv 2405.16874), and GES-Inter of "Co³Gesture" (arXiv 2505.01746). To add an operator, write its file in
`operators/` and put it in the list. docs/gestures.md says what the columns mean.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jobs.command import Execute, Job, Preset, run_job

if TYPE_CHECKING:
    from operators.contract import Operator


def lite() -> list[type[Operator]]:
    """Any laptop: MediaPipe's landmarks, a skeleton fitted to them, PocketSphinx for words and phonemes."""
    from operators.audio.sound import KeptSound
    from operators.audio.tags import SoundMeasures
    from operators.audio.talk import TalkGates
    from operators.language.phonemes import Phonemes
    from operators.language.talk_speech import TalkSpeech
    from operators.pose.gates import PoseGates
    from operators.pose.landmarks import Landmarks
    from operators.pose.lift import Lift
    from operators.pose.smoothing import Smoothing
    from operators.pose.speakers import SplitSpeakers
    from operators.pose.speaking import Speaking

    return [
        SplitSpeakers,  # one pass over the video: shots, people, spans of one speaker
        SoundMeasures,  # where there is a voice
        TalkSpeech,  # the manifest's transcript, or a guess; words with times
        Phonemes,  # words aligned to the sound
        TalkGates,  # drops what has no words or too much noise
        KeptSound,  # the sound itself, for the clips that are left
        Landmarks,  # body, hands and face in every frame
        Speaking,  # does the mouth move with the voice?
        Lift,  # landmarks → SMPL-X joint rotations
        PoseGates,  # marks frames that are no good, cuts usable spans
        Smoothing,  # rotations without jitter
    ]


def fit() -> list[type[Operator]]:
    """One GPU and nothing to bring: Whisper for the words, the fit on the GPU."""
    from operators.language.talk_speech import TalkSpeech, WhisperTalkSpeech

    return [WhisperTalkSpeech if kind is TalkSpeech else kind for kind in lite()]


def base() -> list[type[Operator]]:
    """GPUs: Whisper for the words, a mesh regressor for the poses."""
    from operators.pose.lift import Lift
    from operators.pose.regressor import MeshRegressor

    return [MeshRegressor if kind is Lift else kind for kind in fit()]


FIT: dict[str, dict[str, Any]] = {"speech": {"gpus": 0.3}, "lift": {"gpus": 0.3, "device": "auto", "batch": 16}}
BASE: dict[str, dict[str, Any]] = {"speech": {"gpus": 0.25}, "lift": {"gpus": 0.75}}
CLUSTER: dict[str, dict[str, Any]] = {"speech": {"gpus": 0.5, "model": "large-v3-turbo"}, "lift": {"gpus": 1.0}}


def preview(output: str, count: int) -> Iterable[Path]:
    """Clips of a run as videos to look at."""
    from jobs.preview import preview as write

    return write(output, count)


GESX = Job(
    name="gesx",
    summary="Turn talks into a data set of gestures: SMPL-X poses, hands and face with words and phonemes.",
    presets={
        "lite": Preset(summary="any laptop, no GPU, no model downloads", operators=lite),
        "fit": Preset(summary="one GPU, Whisper, poses fitted to landmarks", operators=fit, settings=FIT),
        "base": Preset(summary="one GPU, Whisper, a mesh regressor of yours", operators=base, settings=BASE),
        "cluster": Preset(summary="many GPUs, larger Whisper, the regressor", operators=base, settings=CLUSTER),
    },
    preview=preview,
    shown=("clip_id", "speaker_id", "clip_duration", "transcript"),
    then={
        "watch it": "python -m jobs.gesx --output {output} --preview 5",
        "take it away": "python -m jobs.export --output {output} --format beat2 --to beat2/",
    },
    examples=(
        "python -m jobs.gesx --input list.csv --output out/ --set speakers.people=2     two people, as GES-Inter",
        "python -m jobs.gesx --output out/ --preview 5                                  videos to look at",
        "python -m jobs.export --output out/ --format beat2 --to beat2/                 .npz files as BEAT2 has them",
    ),
)


def main(argv: Sequence[str] | None = None, execute: Execute | None = None) -> int:
    """Run the command line `argv` and return its exit code."""
    return run_job(GESX, argv, execute)


if __name__ == "__main__":
    sys.exit(main())
