from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.audio.sound import KeptSound, decode_flac, encode_flac
from operators.audio.waveform import SAMPLE_RATE
from operators.errors import RowFailure


@given(st.integers(1, 3 * SAMPLE_RATE), st.integers(0, 2**32 - 1))
def test_not_a_sample_is_changed(length: int, seed: int):
    samples = np.random.default_rng(seed).integers(-32768, 32768, length).astype(np.int16)
    assert np.array_equal(decode_flac(encode_flac(samples) or b""), samples)


def test_a_voice_takes_less_room_and_the_same_bytes_every_time():
    time = np.arange(5 * SAMPLE_RATE) / SAMPLE_RATE
    samples = (8000 * np.sin(2 * np.pi * 220 * time) * np.sin(np.pi * time)).astype(np.int16)
    first = encode_flac(samples)
    assert first is not None and len(first) < samples.nbytes / 2
    assert encode_flac(samples) == first


def test_the_operator_keeps_the_sound_of_kept_clips_only():
    audio = np.arange(1000, dtype="<i2").tobytes()
    clip = {"record": "clip", "error": None, "audio": audio, "provenance": {}}
    rows = list(KeptSound()([clip, {**clip, "drop_reason": "no_words"}, {**clip, "audio": None}]))
    assert np.array_equal(decode_flac(rows[0]["sound"]), np.arange(1000))
    assert rows[0]["provenance"] == {"sound": "sound/1"}
    assert "sound" not in rows[1]
    assert rows[2]["sound"] is None


def test_what_is_no_flac_file_is_refused():
    with pytest.raises(RowFailure, match="no whole FLAC file"):
        decode_flac(b"RIFF....WAVE")
