"""Files of arrays from strangers: checked before they are read, never unpickled."""

from __future__ import annotations

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest

from operators.errors import ConfigurationError
from operators.pose.meshes.npz import NUMBER, TEXT, WHOLE, Expected, Remedies, read_arrays

REMEDIES = Remedies(what="motion", another="GET ANOTHER", pickled="SAVE IT AGAIN")
LAYOUT = {"track": Expected(((1, 100), 3)), "rate": Expected((), NUMBER), "name": Expected((), TEXT)}


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, where: Path) -> None:
        self.where = str(where)

    def __reduce__(self):
        return os.mkdir, (self.where,)


def test_what_is_asked_for_is_read_and_the_rest_left_alone(tmp_path):
    path = tmp_path / "a.npz"
    track = np.arange(6.0).reshape(2, 3)
    np.savez(path, track=track, rate=30, trap=np.array(Trap(tmp_path / "sprung"), object))
    read = read_arrays(path, LAYOUT, REMEDIES, optional=("name",))
    assert set(read) == {"track", "rate"}
    np.testing.assert_array_equal(read["track"], track)
    assert int(read["rate"]) == 30
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("arrays", "says"),
    [
        ({"track": np.zeros((2, 3))}, "is no motion: it has no rate; GET ANOTHER"),
        ({"track": np.zeros((0, 3)), "rate": 30}, r"track is float64 \(0, 3\), not 1…100 × 3; GET ANOTHER"),
        ({"track": np.zeros((101, 3)), "rate": 30}, "not 1…100 × 3"),
        ({"track": np.zeros((2, 3), int), "rate": 30}, "track is int64"),
        ({"track": np.zeros((2, 3)), "rate": "fast"}, r"rate is <U4 \(\), not a single value"),
        ({"track": np.zeros((2, 3)), "rate": 30, "name": "x" * 2000}, "name is <U2000"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(tmp_path, arrays, says):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ConfigurationError, match=says):
        read_arrays(tmp_path / "a.npz", LAYOUT, REMEDIES, optional=("name",))


def test_a_pickle_in_the_place_of_an_array_is_not_read(tmp_path):
    np.savez(tmp_path / "a.npz", track=np.array(Trap(tmp_path / "sprung"), object), rate=30)
    with pytest.raises(ConfigurationError, match="track is a pickled object, which is not read; SAVE IT AGAIN"):
        read_arrays(tmp_path / "a.npz", LAYOUT, REMEDIES)
    assert not (tmp_path / "sprung").exists()


def test_a_header_that_lies_about_its_length_is_damaged(tmp_path):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (50, 3)})
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("track.npy", header.getvalue() + bytes(8))
    with pytest.raises(ConfigurationError, match=r"track is damaged.*GET ANOTHER"):
        read_arrays(tmp_path / "a.npz", LAYOUT, REMEDIES)


def test_sizes_in_words():
    assert str(Expected((2, (3, 9)), WHOLE)) == "2 × 3…9"
