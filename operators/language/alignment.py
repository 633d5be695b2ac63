"""Forced alignment with PocketSphinx: when each word of a known text is said, and each phone of it.

A first search finds the words in a sound of any length. Where the text is longer than the speech it may
begin and end at any of its words, and the run of words that fits best is taken. Then each utterance is
aligned for itself in two passes: words, and the phones in them. All searches take the best path (Viterbi)
through the words' pronunciations, with silence and noises allowed between words.

How well words fit is told as a cost per frame: how much less likely the path's states are than the best
states of the XX
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from operators.audio.waveform import SAMPLE_RATE, Samples
from operators.language.pronunciation import pronounced

FRAMES = 100  # frames per second
BEAM = {"beam": 1e-80, "pbeam": 1e-80, "wbeam": 1e-60, "maxhmmpf": 200_000}
"""Limits of the search, wider than the defaults: with those, 22 spoken words are not found among 1,000 others."""

CEILING = 30.0  # cost over which a run of words chosen from a longer text is taken for a chance find
COVERAGE = 0.4  # share of the sound that a chosen run must fill
SLOWEST = 6.0  # phones per second in its words: chance finds stretch few words over much speech
TRUSTED_CEILING = 45.0  # cost over which words do not fit though the text is known to belong to the sound
UNALIGNED = 60.0  # cost of words that could not be aligned closely: about the worst
PAUSE = 0.3  # s between words that parts utterances
MARGIN = 0.25  # s of sound around an utterance, as far as its neighbours leave room
LONGEST = 15.0  # s of an utterance: the second pass needs memory for frames times states, and counts states in 16 bits
SHORTEST = 0.05  # s: sound with less holds no word
WORDS = 600  # of a text that are searched at once
OVERLAP = 100  # words that two searches of a longer text have in common: more than an excerpt holds
SEARCHES = 10  # of a longer text, the nearest to the place where it is expected
EXCERPT = 10.0  # s of the sound by which its place in a longer text is found
PACE = 6.0  # words per second at most
NEW_WORDS = 5000  # added to the dictionary until it is read afresh


@dataclass(frozen=True)
class Phone:
    """A phone of ARPAbet, without stress, with its times in seconds."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Placed:
    """A word of the text, by its number, with its times in seconds.

    `phones` tile the word; without them (and with no `cost`) the word's times are rough.
    """

    number: int
    start: float
    end: float
    phones: tuple[Phone, ...] = ()
    cost: float | None = None


_Entry = tuple[int, str]
"""A token's number, and an entry of the dictionary that is spoken for it."""

_Spoken = tuple[int, int, list[tuple[str, int, int]]]
"""An entry as it was aligned: score, frames, and the name, first frame and frames of each phone."""


class Aligner:
    """PocketSphinx's US English acoustic model with its dictionary.

    The front end is reset before every search and normalised over its sound, and words that the dictionary
    lacks are added under names that hold their phones: no result depends on what was aligned before.
    Needs about 100 MiB. Not thread-safe.
    """

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        from pocketsphinx import Decoder

        # The best path through the word lattice gives phones fewer frames than they have states.
        self._decoder: Any = Decoder(samprate=SAMPLE_RATE, lm=None, bestpath=False, loglevel="FATAL", **BEAM)
        self._added: set[str] = set()

    def place(self, samples: Samples, tokens: Sequence[str], *, whole: bool, near: float = 0.0) -> list[Placed]:
        """Words of the text with their times in the sound, in order; empty where the text does not fit.

        `whole` says that all of the text belongs to the sound. Otherwise, or where it does not fit as a
        whole, the best run of its words is taken if it fits well and fills much of the sound. Tokens that
        no English word is known for are passed over.
        """
        text = self._text(tokens)
        if whole:
            words = self.refined(samples, tokens, self._path(samples, text))
            if words and _cost(words) <= TRUSTED_CEILING:
                return words
        if len(text) > WORDS:
            text = self._nearby(samples, tokens, text, near)
        words = self.refined(samples, tokens, self._run(samples, text))
        return words if _fits(words, samples) else []

    def refined(self, samples: Samples, tokens: Sequence[str], words: Sequence[Placed]) -> list[Placed]:
        """Words that have times already, aligned again utterance by utterance, with phones.

        Words of an utterance that does not fit its sound stay as they are, and so do words without phones.
        """
        refined: list[Placed] = []
        for run, start, end in utterances(words, len(samples) / SAMPLE_RATE):
            first = round(start * SAMPLE_RATE)
            sound = samples[first : round(end * SAMPLE_RATE)]
            found = self._aligned(sound, self._text([tokens[word.number] for word in run]))
            moved = {word.number: _later(word, first / SAMPLE_RATE) for word in found}
            if not found or _cost(found) > TRUSTED_CEILING:
                refined.extend(replace(word, phones=(), cost=None) for word in run)
            else:
                refined.extend(replace(moved.get(k, word), number=word.number) for k, word in enumerate(run))
        return refined

    def _text(self, tokens: Sequence[str]) -> list[_Entry]:
        if len(self._added) > NEW_WORDS:
            self._start()
        return [(number, entry) for number, token in enumerate(tokens) for entry in self._entries(token)]

    def _entries(self, token: str) -> Iterator[str]:
        for word, phones in pronounced(token, self._decoder.lookup_word):
            if phones is None:
                yield word
                continue
            entry = f"{word}:{'-'.join(phones)}"
            if entry not in self._added:
                self._decoder.add_word(entry, " ".join(phones), False)
                self._added.add(entry)
            yield entry

    def _nearby(self, samples: Samples, tokens: Sequence[str], text: list[_Entry], near: float) -> list[_Entry]:
        """The part of a long text in which the sound is spoken, as far as the sound's beginning tells."""
        excerpt = samples[: round(EXCERPT * SAMPLE_RATE)]
        starts = range(0, len(text), WORDS - OVERLAP)
        for start in sorted(starts, key=lambda start: (abs(start + WORDS / 2 - near * len(text)), start))[:SEARCHES]:
            words = self.refined(excerpt, tokens, self._run(excerpt, text[start : start + WORDS]))
            if _fits(words, excerpt):
                place = next(k for k in range(start, len(text)) if text[k][0] == words[0].number)
                last = place + round(PACE * len(samples) / SAMPLE_RATE) + OVERLAP
                return text[max(0, place - OVERLAP) : last]
        return []

    def _path(self, samples: Samples, text: Sequence[_Entry]) -> list[Placed]:
        """The best path through the whole text, empty where there is none."""
        if not text or len(samples) < SHORTEST * SAMPLE_RATE:
            return []
        self._decoder.set_align_text(" ".join(entry for _, entry in text))
        self._decode(samples)
        spans = self._spans()
        return _tokens(text, spans) if len(spans) == len(text) else []

    def _run(self, samples: Samples, text: Sequence[_Entry]) -> list[Placed]:
        """The best path through the words from any of them to any later one, empty where there is none."""
        if not text or len(samples) < SHORTEST * SAMPLE_RATE:
            return []
        decoder, count = self._decoder, len(text)
        grammar = decoder.create_fsg(
            "run",
            start_state=0,
            final_state=count + 2,
            transitions=[
                *((number + 1, number + 2, 1.0, entry) for number, (_, entry) in enumerate(text)),
                *((0, number + 1, 1 / count) for number in range(count)),
                *((number + 2, count + 2, 1 / count) for number in range(count)),
            ],
        )
        decoder.add_fsg("run", grammar)
        decoder.activate_search("run")
        self._decode(samples)
        spans, names = self._spans(), [entry for _, entry in text]
        found = [name for name, _, _ in spans]
        first = next((k for k in range(count - len(found) + 1) if names[k : k + len(found)] == found), None)
        return _tokens(text[first:], spans) if found and first is not None else []

    def _aligned(self, samples: Samples, text: Sequence[_Entry]) -> list[Placed]:
        """All words of one utterance with their phones, numbered by their tokens; empty where there is no path."""
        rough = self._path(samples, text)
        if not rough:
            return []
        self._decoder.set_alignment()
        try:
            self._decode(samples)
        except RuntimeError:  # no path in which every phone has a frame for each of its states
            return []
        # Its entries live in the iterator, so each must be read before the next is asked for.
        spoken = [
            (word.score, word.duration, [(phone.name, phone.start, phone.duration) for phone in word])
            for word in self._decoder.get_alignment()
            if word.name[0] not in "<[+"
        ]
        words: dict[int, list[_Spoken]] = {}
        for (number, _), word in zip(text, spoken, strict=True):
            words.setdefault(number, []).append(word)
        return [_with_phones(number, parts) for number, parts in words.items()]

    def _decode(self, samples: Samples) -> None:
        decoder = self._decoder
        decoder.reinit_feat()
        decoder.start_utt()
        decoder.process_raw(samples.astype("<i2").tobytes(), full_utt=True)
        decoder.end_utt()

    def _spans(self) -> list[tuple[str, float, float]]:
        """Entries on the best path with their times, silence and noises left out."""
        if self._decoder.hyp() is None:
            return []
        return [
            (segment.word.partition("(")[0], segment.start_frame / FRAMES, (segment.end_frame + 1) / FRAMES)
            for segment in self._decoder.seg()
            if segment.word[0] not in "<[+("
        ]


def utterances(words: Sequence[Placed], seconds: float) -> Iterator[tuple[Sequence[Placed], float, float]]:
    """Words parted at pauses, each run with the start and end of its sound, which lasts `seconds` altogether."""
    edges = [0, *(k for k in range(1, len(words)) if words[k].start - words[k - 1].end >= PAUSE), len(words)]
    for first, stop in pairwise(edges):
        yield from _shorter(words, first, stop, seconds)


def _shorter(
    words: Sequence[Placed], first: int, stop: int, seconds: float
) -> Iterator[tuple[Sequence[Placed], float, float]]:
    """One run of words, halved at its longest gap until it is short enough."""
    if first == stop:
        return
    if words[stop - 1].end - words[first].start > LONGEST and stop - first > 1:
        cut = max(
            range(first + 1, stop), key=lambda k: (words[k].start - words[k - 1].end, -abs(2 * k - first - stop))
        )
        yield from _shorter(words, first, cut, seconds)
        yield from _shorter(words, cut, stop, seconds)
        return
    before = words[first - 1].end if first else 0.0
    after = words[stop].start if stop < len(words) else seconds
    start, end = words[first].start, words[stop - 1].end
    start = max(0.0, start - min(MARGIN, max(0.0, start - before) / 2 if first else start))
    end = min(seconds, end + min(MARGIN, max(0.0, after - end) / 2 if stop < len(words) else after))
    yield words[first:stop], start, end


def _tokens(text: Sequence[_Entry], spans: Sequence[tuple[str, float, float]]) -> list[Placed]:
    """Entries' times as the times of their tokens."""
    words: dict[int, Placed] = {}
    for (number, _), (_, start, end) in zip(text, spans, strict=False):
        words[number] = Placed(number, words[number].start if number in words else start, end)
    return list(words.values())


def _with_phones(number: int, parts: Sequence[_Spoken]) -> Placed:
    """A token from the entries that are spoken for it; a pause between them goes to the phone before it."""
    phones = [phone for _, _, phones in parts for phone in phones]
    edges = [*(first / FRAMES for _, first, _ in phones), (phones[-1][1] + phones[-1][2]) / FRAMES]
    return Placed(
        number,
        edges[0],
        edges[-1],
        tuple(Phone(name, edges[k], edges[k + 1]) for k, (name, _, _) in enumerate(phones)),
        cost=-sum(score for score, _, _ in parts) / sum(frames for _, frames, _ in parts),
    )


def _later(word: Placed, seconds: float) -> Placed:
    phones = tuple(Phone(phone.name, phone.start + seconds, phone.end + seconds) for phone in word.phones)
    return replace(word, start=word.start + seconds, end=word.end + seconds, phones=phones)


def _cost(words: Sequence[Placed]) -> float:
    """Mean cost per frame; words that could not be aligned closely have a high one."""
    spoken = sum(word.end - word.start for word in words)
    costs = sum((UNALIGNED if word.cost is None else word.cost) * (word.end - word.start) for word in words)
    return costs / spoken if spoken else float("inf")


def _fits(words: Sequence[Placed], samples: Samples) -> bool:
    """Whether words that were chosen from a longer text are likely to be those that are spoken."""
    spoken = sum(word.end - word.start for word in words)
    filled = spoken * SAMPLE_RATE >= COVERAGE * len(samples)
    brisk = sum(len(word.phones) for word in words) >= SLOWEST * spoken
    return filled and brisk and _cost(words) <= CEILING
