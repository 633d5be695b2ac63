"""Reads SMPL-X body model files as they are distributed (.npz), as untrusted data.

An official file holds pickled dictionaries beside its arrays (`part2num`, `joint2num`); they are left where
they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from operators.errors import ConfigurationError
from operators.pose.meshes.npz import WHOLE, Expected, Remedies, read_arrays

VERTICES = 10_475
JOINTS = 55
SHAPES, EXPRESSIONS = 300, 100
"""Coefficients of the large files, in this order; small files have 10 and 10."""

POSE_FEATURES = 9 * (JOINTS - 1)

LAYOUT: Mapping[str, Expected] = {
    "v_template": Expected((VERTICES, 3)),
    "shapedirs": Expected((VERTICES, 3, (20, 4096))),
    "posedirs": Expected((VERTICES, 3, POSE_FEATURES)),
    "J_regressor": Expected((JOINTS, VERTICES)),
    "kintree_table": Expected((2, JOINTS), WHOLE),
    "weights": Expected((VERTICES, JOINTS)),
    "f": Expected(((4, 1_000_000), 3), WHOLE),
    "hands_meanl": Expected((45,)),
    "hands_meanr": Expected((45,)),
}
"""What is read."""

AS_NPZ = (
    "take SMPLX_NEUTRAL.npz (or MALE, FEMALE) from the same download at smpl-x.is.tue.mpg.de; it holds the same "
    "model, and nothing in it has to be unpickled"
)
TO_PLAIN_ARRAYS = (
    'if you trust where it is from, write it once as plain arrays: python -c "import numpy as np; '
    "a = np.load('IN.npz', allow_pickle=True); np.savez_compressed('OUT.npz', **{k: np.asarray(getattr(v, 'todense', "
    "lambda: v)(), np.float64) for k in ('v_template', 'shapedirs', 'posedirs', 'J_regressor', 'weights', "
    "'hands_meanl', 'hands_meanr') for v in [a[k].item() if a[k].dtype == object and a[k].ndim == 0 else a[k]]}, "
    "f=np.asarray(a['f'], np.int64), kintree_table=np.asarray(a['kintree_table'], np.int64))\""
)
REMEDIES = Remedies(what="SMPL-X body", another=AS_NPZ, pickled=TO_PLAIN_ARRAYS)


def read_body_file(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of `LAYOUT`, as they are stored.

    Raises `ConfigurationError`, with the remedy where there is one, for a pickle, and for a file that is no
    SMPL-X body, is damaged, or holds pickled objects in the place of these arrays.
    """
    if path.suffix.lower() == ".pkl":
        raise ConfigurationError(f"{path} is a pickle, which can run any code when it is read; {AS_NPZ}")
    return read_arrays(path, LAYOUT, REMEDIES)
