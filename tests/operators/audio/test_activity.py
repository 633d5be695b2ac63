"""Voices are found, alone and over music; music, machines and noise are not voices."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from operators.audio import activity, spectrum


def share(spans: list[activity.Span], start: float, end: float) -> float:
    """Share of start…end that the spans cover."""
    return sum(max(0, min(end, b) - max(start, a)) for a, b in spans) / (end - start)


@pytest.mark.parametrize("pitch", [100, 130, 180, 220])
def test_a_voice_is_found_where_it_is(studio, pitch):
    sound = np.concatenate([studio.silence(2), studio.voice(5, pitch), studio.silence(2)])
    (span,) = activity.speech_spans(studio.samples(sound))
    assert span == pytest.approx((2, 7), abs=0.3)


@pytest.mark.parametrize("decibels", [15, 5])
@pytest.mark.parametrize("kind", ["piano", "strings"])
def test_a_voice_is_found_over_music(studio, decibels, kind):
    voice = np.concatenate([studio.silence(3), studio.voice(5), studio.silence(3)])
    spans = activity.speech_spans(studio.samples(studio.mixed(voice, studio.chords(11, kind=kind), decibels)))
    assert share(spans, 3, 8) > 0.85
    assert share(spans, 0, 2.5) == 0
    assert share(spans, 8.5, 11) == 0


@pytest.mark.parametrize(
    "sound",
    ["piano", "organ", "strings", "drums", "clicks", "noise", "tone", "hum", "silence", "siren"],
)
def test_what_is_no_voice(studio, sound):
    seconds, time = 10, np.arange(160_000) / 16_000
    made = {
        "drums": lambda: studio.drums(seconds),
        "clicks": lambda: studio.clicks(seconds, 110),
        "noise": lambda: studio.noise(seconds),
        "tone": lambda: studio.tone(seconds),
        "hum": lambda: sum(studio.tone(seconds, 50 * k, 0.1 / k) for k in range(1, 8)),
        "silence": lambda: studio.silence(seconds),
        "siren": lambda: 0.3 * np.sin(2 * np.pi * np.cumsum(500 + 200 * np.sin(np.pi * time)) / 16_000),
    }
    wave = made[sound]() if sound in made else studio.chords(seconds, kind=sound)
    assert activity.speech_spans(studio.samples(wave)) == []


def test_pieces_do_not_show(studio, monkeypatch):
    samples = studio.samples(studio.mixed(studio.voice(9), studio.chords(9), 10))
    whole = activity.glide_frames(samples)
    monkeypatch.setattr(spectrum, "PIECE", 100)
    assert np.array_equal(activity.glide_frames(samples), whole)


@settings(deadline=None, max_examples=40)
@given(arrays(np.int16, st.integers(0, 6000)))
def test_spans_are_in_order_and_within_the_clip(samples):
    spans = activity.speech_spans(samples)
    edges = [edge for span in spans for edge in span]
    assert edges == sorted(edges)
    assert all(0 <= edge <= len(samples) / 16_000 for edge in edges)


@pytest.mark.parametrize(
    ("file", "voiced", "silent"),
    [
        ("speech_jfk.flac", [(0.4, 2.0), (3.3, 4.3), (5.5, 7.5), (8.3, 10.0)], [(2.5, 3.0), (4.6, 5.2)]),
        ("gesture_oliver.mp4", [(2.9, 8.0), (8.4, 9.8)], []),
        ("rotated.mp4", [(4.7, 5.6), (6.0, 7.3)], [(1.2, 3.0), (8.0, 10.0)]),
        ("cartoon.mp4", [(2.8, 5.3), (6.3, 9.9)], []),
    ],
)
def test_real_voices(studio, shared_media, file, voiced, silent):
    spans = activity.speech_spans(studio.samples(studio.decode(shared_media / file)))
    assert min(share(spans, *span) for span in voiced) >= 0.9
    assert max((share(spans, *span) for span in silent), default=0) == 0


def test_real_music_without_voices(studio, shared_media):
    """`tapping` is instrumental; its sliding notes are taken for a voice for a small part of it."""
    samples = studio.samples(studio.decode(shared_media / "tapping.mp4"))
    assert share(activity.speech_spans(samples), 0, len(samples) / 16_000) <= 0.1


@pytest.mark.parametrize(("decibels", "found"), [(15, 0.9), (5, 0.7), (0, 0.45)])
@pytest.mark.parametrize("music", ["piano", "strings", "tapping.mp4"])
def test_real_speech_over_music(studio, shared_media, decibels, found, music):
    speech = studio.decode(shared_media / "speech_jfk.flac")
    under = studio.decode(shared_media / music) if "." in music else studio.chords(11, kind=music)
    spans = activity.speech_spans(studio.samples(studio.mixed(speech, under, decibels)))
    words = [(0.5, 2.0), (3.4, 4.3), (5.6, 7.5), (8.4, 10.0)]
    assert np.mean([share(spans, *span) for span in words]) >= found
