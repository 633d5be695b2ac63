"""Where a model runs and with which numbers. Imports torch only when it is asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from operators.errors import ConfigurationError, MissingExtra

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda", "mps"]
Precision = Literal["auto", "float32", "bfloat16", "float16"]


def import_torch() -> Any:
    """torch, or `MissingExtra`."""
    try:
        import torch
    except ImportError as problem:
        raise MissingExtra("torch", "models") from problem
    return torch


def choose_device(wanted: Device) -> torch.device:
    """The device to use: "auto" takes a CUDA GPU, else Apple's, else the CPU.

    Raises `ConfigurationError` where the one that was asked for is not there.
    """
    torch = import_torch()
    there = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if wanted == "auto":
        return torch.device(next(name for name, found in there.items() if found))
    if not there[wanted]:
        raise ConfigurationError(f"device={wanted}: torch finds none on this node; use device=auto or device=cpu")
    return torch.device(wanted)


def choose_precision(wanted: Precision, device: torch.device) -> torch.dtype:
    """The number format of weights and activations: "auto" is bfloat16 where the GPU has it, else float32."""
    torch = import_torch()
    if wanted == "auto":
        fast = device.type == "cuda" and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if fast else torch.float32
    return getattr(torch, wanted)


def free_memory(device: torch.device) -> None:
    """Give memory that torch only keeps back to the device, after a batch that did not fit."""
    torch = import_torch()
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
