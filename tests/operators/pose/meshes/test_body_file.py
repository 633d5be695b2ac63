"""Body model files are read as untrusted data: plain arrays of the right shapes, or a refusal that says what to do."""

from __future__ import annotations

import io
import os
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from operators.errors import ConfigurationError
from operators.pose.meshes.body_file import LAYOUT, VERTICES, read_body_file
from tests.tiny.smplx_body import body_arrays


class Trap:
    """Makes a folder when it is unpickled."""

    def __init__(self, where: Path) -> None:
        self.where = str(where)

    def __reduce__(self):
        return os.mkdir, (self.where,)


def pack(path: Path, **changes: Any) -> Path:
    """The arrays of a small file of right shape, uncompressed zeros where nothing is said."""
    arrays: dict[str, Any] = {name: body_arrays()[name] for name in LAYOUT}
    arrays |= {"shapedirs": np.zeros((VERTICES, 3, 20), np.float32), **changes}
    np.savez_compressed(path, **{name: value for name, value in arrays.items() if value is not None})
    return path


def test_the_arrays_are_read_as_they_lie(smplx_body):
    read = read_body_file(smplx_body)
    assert set(read) == set(LAYOUT)
    for name, array in read.items():
        np.testing.assert_array_equal(array, body_arrays()[name])


def test_a_pickle_is_refused_unread_and_the_npz_is_named(tmp_path):
    path = tmp_path / "SMPLX_NEUTRAL.pkl"
    path.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    with pytest.raises(ConfigurationError, match=r"is a pickle.*take SMPLX_NEUTRAL\.npz"):
        read_body_file(path)
    assert not (tmp_path / "sprung").exists()


def test_pickled_objects_beside_the_arrays_are_left_alone(tmp_path):
    part2num = np.array(Trap(tmp_path / "sprung"), dtype=object)
    assert set(read_body_file(pack(tmp_path / "b.npz", part2num=part2num))) == set(LAYOUT)
    assert not (tmp_path / "sprung").exists()


def test_pickled_objects_in_the_place_of_arrays_are_refused_with_a_way_to_convert_them(tmp_path):
    scipy_sparse = pytest.importorskip("scipy.sparse")
    regressor = np.array(scipy_sparse.csc_matrix(body_arrays()["J_regressor"]), dtype=object)
    path = pack(tmp_path / "IN.npz", J_regressor=regressor)
    with pytest.raises(ConfigurationError, match="J_regressor is a pickled object") as refused:
        read_body_file(path)
    script = str(refused.value).partition('python -c "')[2].rpartition('"')[0]
    before = Path.cwd()
    try:
        os.chdir(tmp_path)
        exec(compile(script, "remedy", "exec"), {})
    finally:
        os.chdir(before)
    np.testing.assert_allclose(read_body_file(tmp_path / "OUT.npz")["J_regressor"], body_arrays()["J_regressor"])


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("weights", None, "it has no weights"),
        ("v_template", np.zeros((6890, 3), np.float32), r"v_template is float32 \(6890, 3\), not 10475 × 3"),
        ("f", np.zeros((20, 3), np.float32), "f is float32"),
        ("kintree_table", np.zeros((2, 24), np.int64), "not 2 × 55"),
        ("shapedirs", np.zeros((VERTICES, 3, 5), np.float32), r"20…4096"),
    ],
)
def test_what_is_no_smplx_body_is_refused_in_words(tmp_path, name, value, says):
    with pytest.raises(ConfigurationError, match=says):
        read_body_file(pack(tmp_path / "b.npz", **{name: value}))


def test_a_header_that_promises_too_much_costs_no_memory(tmp_path):
    path = tmp_path / "bomb.npz"
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (10**6, 10**6)})
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("v_template.npy", header.getvalue())
    begun = time.process_time()
    with pytest.raises(ConfigurationError, match="1000000, 1000000"):
        read_body_file(path)
    assert time.process_time() - begun < 1


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"version https://git-lfs.github.com/spec/v1\n"])
def test_what_is_no_archive_is_refused(tmp_path, content):
    path = tmp_path / "SMPLX_NEUTRAL.npz"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"is no \.npz file, or damaged"):
        read_body_file(path)


def test_a_truncated_array_is_damaged(tmp_path):
    whole = io.BytesIO()
    np.lib.format.write_array(whole, body_arrays()["v_template"])
    path = tmp_path / "short.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("v_template.npy", whole.getvalue()[:-100])
    with pytest.raises(ConfigurationError, match="v_template is damaged"):
        read_body_file(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ConfigurationError, match="there is no file"):
        read_body_file(tmp_path / "SMPLX_MALE.npz")
