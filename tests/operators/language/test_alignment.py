from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.audio.waveform import SAMPLE_RATE
from operators.language.alignment import LONGEST, MARGIN, Aligner, Placed, utterances
from tests.operators.language.spoken_words import WORDS, assembled, recording

JFK = [
    "And", "so,", "my", "fellow", "Americans,", "ask", "not", "what", "your", "country", "can", "do", "for", "you,",
    "ask", "what", "you", "can", "do", "for", "your", "country.",
]  # fmt: skip
OTHERS = [
    "The", "ship", "was", "loaded", "with", "copper", "and", "coal", "before", "the", "storm", "came", "in", "from",
    "the", "west", "and", "the", "harbour", "master", "went", "home", "early", "that", "evening", "to", "feed", "his",
    "twelve", "cats", "and", "repair", "the", "old", "clock", "that", "his", "uncle", "had", "left", "behind",
]  # fmt: skip


@pytest.fixture(scope="module")
def aligner() -> Aligner:
    return Aligner()


def order_of(seed: int) -> list[str]:
    return [str(word) for word in np.random.default_rng(seed).permutation(WORDS)]


def assert_tiled(words: list[Placed]) -> None:
    for word in words:
        assert word.phones
        assert word.phones[0].start == word.start
        assert word.phones[-1].end == word.end
        assert all(first.end == second.start for first, second in pairwise(word.phones))
        assert all(phone.start < phone.end for phone in word.phones)


@pytest.mark.parametrize("gaps", [[0.0, 0.0], [0.1, 0.1], [0.05, 0.6], [0.4, 2.0]])
def test_words_of_assembled_speech_are_found_where_they_are(aligner, gaps):
    errors = []
    for seed in range(2):
        order = order_of(seed)
        pauses = np.random.default_rng(seed).uniform(gaps[0], gaps[1], len(order)).tolist()
        sound, edges = assembled(order, pauses, seed)
        words = aligner.place(sound, order, whole=True)
        assert [word.number for word in words] == list(range(len(order)))
        assert_tiled(words)
        errors += [
            abs(a - b)
            for word, edge in zip(words, edges, strict=True)
            for a, b in zip((word.start, word.end), edge, strict=True)
        ]
    assert np.median(errors) <= 0.03
    assert np.quantile(errors, 0.9) <= 0.12


def test_the_words_that_are_spoken_are_found_in_a_longer_text(aligner):
    order = order_of(3)
    sound, edges = assembled(order, [0.1] * len(order))
    text = [*OTHERS, *order, *OTHERS[::-1]]
    words = aligner.place(sound, text, whole=False)
    assert [text[word.number] for word in words] == order
    assert words[0].number == len(OTHERS)
    assert np.median([abs(word.start - edge[0]) for word, edge in zip(words, edges, strict=True)]) <= 0.03


def test_a_long_text_is_searched_from_where_the_clip_is_expected(aligner):
    order = order_of(4)[:8]
    sound, _ = assembled(order, [0.1] * len(order))
    text = [*OTHERS * 30, *order, *OTHERS * 4]
    assert len(text) > 1200
    words = aligner.place(sound, text, whole=False, near=0.9)
    assert [text[word.number] for word in words] == order
    assert aligner.place(sound, text, whole=False, near=0.0) == words


@pytest.mark.parametrize("whole", [True, False])
def test_a_text_that_nobody_spoke_is_not_found(aligner, whole):
    sound, _ = assembled(order_of(5), [0.1] * len(WORDS))
    assert aligner.place(sound, OTHERS[:20], whole=whole) == []


def test_noise_is_no_speech(aligner):
    noise = np.random.default_rng(0).normal(0, 3000, 3 * SAMPLE_RATE).astype(np.int16)
    assert aligner.place(noise, OTHERS, whole=False) == []
    assert aligner.place(noise, OTHERS, whole=True) == []


def test_unknown_words_are_guessed_and_unspeakable_ones_passed_over(aligner):
    order = order_of(6)[:6]
    sound, edges = assembled(order, [0.15] * 6)
    written = [*order[:2], "🎉", "—", order[2], "мир", *order[3:]]
    # A misspelling is in no dictionary, and still found by its letters.
    written[written.index(order[3])] = {"children": "childrun", "gardens": "gardunz"}.get(order[3], order[3] + "n")
    words = aligner.place(sound, written, whole=True)
    assert [word.number for word in words] == [0, 1, 4, 6, 7, 8]
    assert np.median([abs(word.start - edge[0]) for word, edge in zip(words, edges, strict=True)]) <= 0.03


def test_history_does_not_matter(aligner):
    sound, _ = assembled(order_of(7), [0.2] * len(WORDS))
    first = aligner.place(sound, order_of(7), whole=True)
    aligner.place(sound, ["zorblat", *OTHERS], whole=False)
    aligner.refined(sound[:20_000], ["UAE"], [Placed(0, 0.2, 0.9)])
    assert aligner.place(sound, order_of(7), whole=True) == first
    assert Aligner().place(sound, order_of(7), whole=True) == first


def test_the_dictionary_is_read_afresh_when_many_words_were_added(aligner, monkeypatch):
    monkeypatch.setattr("operators.language.alignment.NEW_WORDS", 2)
    fresh = Aligner()
    sound, _ = assembled(order_of(7), [0.2] * len(WORDS))
    for word in ("zorblat", "frimple", "glonkery", "swimbel"):
        fresh.refined(sound[:20_000], [word], [Placed(0, 0.2, 0.9)])
    assert len(fresh._added) <= 3
    assert fresh.place(sound, order_of(7), whole=True) == aligner.place(sound, order_of(7), whole=True)


@pytest.mark.parametrize("samples", [0, 1, 100, 500])
def test_too_little_sound_holds_no_word(aligner, samples):
    sound = np.zeros(samples, dtype=np.int16)
    assert aligner.place(sound, ["hello"], whole=True) == []
    assert aligner.refined(sound, ["hello"], [Placed(0, 0.0, 0.01)]) == [Placed(0, 0.0, 0.01)]


def test_no_text_gives_no_words(aligner):
    assert aligner.place(np.zeros(SAMPLE_RATE, dtype=np.int16), [], whole=True) == []
    assert aligner.refined(np.zeros(SAMPLE_RATE, dtype=np.int16), [], []) == []


def test_words_that_do_not_fit_keep_their_times(aligner):
    sound, _ = assembled(order_of(8)[:5], [0.1] * 5)
    rough = [Placed(number, 0.3 + 0.1 * number, 0.4 + 0.1 * number) for number in range(20)]
    assert aligner.refined(sound, OTHERS[:20], rough) == rough


_words = st.lists(st.tuples(st.floats(0, 3), st.floats(0.01, 20)), min_size=1, max_size=40)


@given(_words)
def test_utterances_hold_every_word_once_and_do_not_overlap(steps):
    words, now = [], 0.0
    for number, (gap, length) in enumerate(steps):
        words.append(Placed(number, now + gap, now + gap + length))
        now += gap + length
    parts = list(utterances(words, now + 1))
    assert [word for run, _, _ in parts for word in run] == words
    for run, start, end in parts:
        assert 0 <= start <= run[0].start and run[-1].end <= end <= now + 1
        assert run[0].start - start <= MARGIN + 1e-9
        assert len(run) == 1 or run[-1].end - run[0].start <= LONGEST
    assert all(first[2] <= second[1] + 1e-9 for first, second in pairwise(parts))


def test_a_known_recording(aligner, shared_media):
    sound = recording(shared_media / "speech_jfk.flac")
    words = aligner.place(sound, JFK, whole=True)
    assert [word.number for word in words] == list(range(22))
    assert_tiled(words)
    starts = {JFK[word.number]: word.start for word in words[:9]}
    for word, start in {"And": 0.33, "my": 0.98, "Americans,": 1.63, "ask": 3.27, "not": 4.0}.items():
        assert starts[word] == pytest.approx(start, abs=0.15)
