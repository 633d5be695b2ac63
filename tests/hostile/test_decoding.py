"""Five hundred broken inputs through the real decoding process: each ends cleanly, and nothing is left behind."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from operators.errors import RowFailure
from operators.video.decoding import Limits
from operators.video.events import Clip
from operators.video.one_pass import PassOptions, watch
from operators.video.span_frames import SpanFrames
from tests.conftest import SHARED_MEDIA
from tests.hostile.corpus import FAMILIES, corpus, hostile
from tests.hostile.sources import Source, sources
from tests.hostile.trial import EXPECTED, LIMITS, Trial

SEED = 1
COUNT = 520

CPU_SECONDS = 20.0
"""Most CPU time of an input; an idle core takes less than 2 s for the worst."""

GROWTH_MB = 60
"""MiB by which the decoding process may grow between input 100 and the last; FFmpeg's pools fill late."""


@pytest.fixture(scope="module")
def media() -> Sequence[Source]:
    return sources(SHARED_MEDIA)


@pytest.fixture(scope="module")
def trial(media: Sequence[Source], tmp_path_factory: pytest.TempPathFactory) -> Trial:
    made = Trial(tmp_path_factory.mktemp("hostile"))
    for _ in made.run(corpus(media, SEED, COUNT)):
        continue
    return made


def test_every_input_ends_as_a_row_of_an_expected_kind(trial: Trial, capsys: pytest.CaptureFixture[str]) -> None:
    with capsys.disabled():
        print("", *trial.lines(), sep="\n")
    assert len(trial.outcomes) == COUNT >= 500
    strange = [outcome for outcome in trial.outcomes if outcome.kind not in (None, *EXPECTED)]
    assert strange == []
    assert len(trial.kinds) >= 4, "the corpus has become harmless"
    messages = [outcome for outcome in trial.outcomes if outcome.kind and len(outcome.message) < 15]
    assert messages == []


def test_every_input_stays_within_its_bounds(trial: Trial) -> None:
    assert [outcome for outcome in trial.outcomes if outcome.cpu > CPU_SECONDS] == []
    assert [outcome for outcome in trial.outcomes if outcome.told > 64 << 20] == []
    assert trial.peak < (LIMITS["memory_mb"] + 200) << 20


def test_nothing_leaks(trial: Trial) -> None:
    early, last = trial.memory[1], trial.memory[-1]
    assert (early.inputs, last.inputs) == (100, 500)
    assert last.decoding < early.decoding + GROWTH_MB
    assert last.reading < early.reading + GROWTH_MB
    assert last.files <= early.files
    assert trial.children < COUNT // 20, "decoding processes died too often"
    assert list(trial.folder.iterdir()) == []


def test_the_corpus_depends_on_its_seed_alone(media: Sequence[Source]) -> None:
    mutators = sum(len(mutators) for _, mutators, _ in FAMILIES)
    first, again, other = (
        [hashlib.sha256(hostile(media, seed, number).data).hexdigest() for number in range(mutators)]
        for seed in (SEED, SEED, SEED + 1)
    )
    assert first == again
    assert sum(a != b for a, b in zip(first, other, strict=True)) > mutators // 2


def test_spans_of_broken_videos_are_shown_or_refused(media: Sequence[Source], tmp_path: Path) -> None:
    """What `landmarks` and mesh regressors read again, where the first pass found clips: on a file that changed."""
    shown = failed = 0
    with SpanFrames(Limits(owner="landmarks", **LIMITS)) as frames:
        for number in range(0, COUNT, 7):
            broken = hostile(media, SEED, number)
            path = tmp_path / broken.name
            path.write_bytes(broken.data)
            try:
                for _, picture in frames.read(path, (0.1, 0.7), fps=10, longest_side=96):
                    assert max(picture.shape[:2]) <= 96
                shown += 1
            except RowFailure as problem:
                assert problem.kind in EXPECTED, (broken.name, problem)
                assert str(problem).isprintable()
                failed += 1
            path.unlink()
    assert shown > 10 and failed > 10


def test_a_video_that_breaks_keeps_the_same_clips_each_time(media: Sequence[Source], tmp_path: Path) -> None:
    for number in range(0, COUNT, 41):
        broken = hostile(media, SEED, number)
        path = tmp_path / broken.name
        path.write_bytes(broken.data)
        first, again = (list(watch(path, PassOptions())) for _ in range(2))
        assert [event for event in first if isinstance(event, Clip)] == [e for e in again if isinstance(e, Clip)]
        assert first[-1] == again[-1]
