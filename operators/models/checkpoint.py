"""Checkpoints loaded by transformers from a folder on this machine: wrong files are errors, never guesses."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from operators.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    import torch

WRONG_FILES = (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError)
"""What transformers raises for files of another model, or damaged ones."""


def import_transformers() -> Any:
    """transformers, told to draw no progress bars and to report errors only. Raises `MissingExtra`."""
    try:
        import transformers
    except ImportError as problem:
        raise MissingExtra("transformers", "models") from problem
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    return transformers


def load_part(kind: Any, folder: Path, setting: str) -> Any:
    """A processor or tokenizer: `kind.from_pretrained`. Raises `ConfigurationError` naming the setting."""
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except WRONG_FILES as problem:
        raise _unfit(kind, folder, setting, problem) from problem


def load_model(kind: Any, folder: Path, setting: str, dtype: torch.dtype) -> Any:
    """A model for inference, on the CPU. Pickled weights are read with `weights_only`.

    Raises `ConfigurationError` naming the setting, also where weights are missing: transformers would
    fill them with random numbers.
    """
    try:
        model, loading = kind.from_pretrained(
            folder, local_files_only=True, weights_only=True, dtype=dtype, output_loading_info=True
        )
    except WRONG_FILES as problem:
        raise _unfit(kind, folder, setting, problem) from problem
    if lacking := sorted(map(str, loading["missing_keys"])):
        raise ConfigurationError(
            f"{setting}: {folder} lacks {len(lacking)} weights of a {type(model).__name__}, such as {lacking[0]}; "
            "give another model, or fetch this one again"
        )
    return model.eval().requires_grad_(False)


def _unfit(kind: Any, folder: Path, setting: str, problem: Exception) -> ConfigurationError:
    first = next((line.strip() for line in str(problem).splitlines() if line.strip()), type(problem).__name__)
    return ConfigurationError(f"{setting}: {kind.__name__} cannot load {folder}: {first[:300]}")
