"""Models that are one file, which a person names by itself or by the folder that it lies in.

./exports/nlf.onnx   /models/smplx/SMPLX_NEUTRAL.npz   s3://bucket/models/nlf.onnx     the file
./exports            /models/smplx                     owner/name@commit               its folder
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from operators.models.files import ModelFiles


def one_file(
    setting: str, reference: str, *, suffixes: Sequence[str], names: Sequence[str], beside: Sequence[str] = ()
) -> ModelFiles:
    """The model of one file that `reference` names.

    Args:
        setting: by which a person chooses it, for messages.
        suffixes: endings (".npz") by which a reference is a file and not a folder.
        names: what the file is called where only its folder is named, the first that is there.
        beside: endings of files that belong to it, behind its own name.
    """
    folder, slash, name = reference.rpartition("/")
    if slash and name.endswith(tuple(suffixes)):
        return ModelFiles(
            setting=setting,
            reference=folder + "/" if folder in ("", ".", "..", "~") else folder,
            needs=((name,),),
            patterns=tuple(name + ending for ending in beside),
        )
    patterns = tuple(name + ending for name in names for ending in beside)
    return ModelFiles(setting=setting, reference=reference, needs=(tuple(names),), patterns=patterns)


def path_in(folder: Path, wanted: ModelFiles) -> Path:
    """The path of the one file in the folder where `wanted` was located."""
    (choices,) = wanted.needs
    return next(folder / name for name in choices if (folder / name).is_file())
