from __future__ import annotations

import builtins
from typing import Any

import pytest

from operators.errors import ConfigurationError, MissingExtra
from operators.models.device import choose_device, choose_precision, free_memory, import_torch

torch = pytest.importorskip("torch", reason="torch is not installed (make install)")


def test_auto_takes_what_is_there(monkeypatch: pytest.MonkeyPatch):
    for cuda, mps, name in ((False, False, "cpu"), (False, True, "mps"), (True, True, "cuda")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda found=cuda: found)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda found=mps: found)
        assert choose_device("auto").type == name
        assert choose_device("cpu").type == "cpu"


def test_a_device_that_is_not_there_is_refused_with_the_way_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match="device=cuda: torch finds none on this node; use device=auto"):
        choose_device("cuda")


def test_half_precision_is_for_gpus_that_have_it(monkeypatch: pytest.MonkeyPatch):
    cpu, cuda = torch.device("cpu"), torch.device("cuda")
    for supported, precision in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda found=supported: found)
        assert choose_precision("auto", cuda) == precision
        assert choose_precision("auto", cpu) == torch.float32
    assert choose_precision("float16", cpu) == torch.float16


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch):
    real = builtins.__import__

    def without_torch(name: str, *rest: Any) -> Any:
        if name == "torch":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without_torch)
    with pytest.raises(MissingExtra, match=r"pip install 'rushes\[models\]'"):
        import_torch()


def test_freeing_memory_of_a_cpu_does_nothing():
    free_memory(torch.device("cpu"))
