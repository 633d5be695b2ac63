from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from operators.contract import Operator, Resources
from operators.errors import ChainError
from pipeline.packing import LEAST_SHARE, local_gpu_memory, share_gpus, shares
from tests.pipeline.small_chain import made_operator


def with_gpus(*gpus: float | None, memory_mb: int = 0) -> list[Operator]:
    return [
        made_operator(f"o{number}", resources=Resources(gpus=share, gpu_memory_mb=memory_mb))
        for number, share in enumerate(gpus)
    ]


@pytest.mark.parametrize(
    ("asked", "given_shares"),
    [
        ([0, 0.25], [0, 0.25]),
        ([0.1, None], [0.1, 0.9]),
        ([0.1, None, 0.2, None], [0.1, 0.35, 0.2, 0.35]),
        ([0.25, 0.25, 0.25, None], [0.25, 0.25, 0.25, 0.25]),
        ([0.3, 0.3, 0.3, None], [0.3, 0.3, 0.3, 1.0]),  # too little is left: an engine of its own
        ([2.0, None], [2.0, 1.0]),  # whole GPUs take nothing from the one that is shared
        ([None], [1.0]),
    ],
)
def test_engines_split_what_the_others_leave(asked: list[float | None], given_shares: list[float]):
    assert [resources.gpus for resources in shares(with_gpus(*asked))] == pytest.approx(given_shares)


@given(st.lists(st.one_of(st.none(), st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.5, 1.0])), max_size=7))
def test_shares_of_one_gpu_never_exceed_it(asked: list[float | None]):
    given_shares = [resources.gpus for resources in shares(with_gpus(*asked))]
    assert all(share is not None for share in given_shares)
    engines = [share for want, share in zip(asked, given_shares, strict=True) if want is None and share is not None]
    assert all(share >= LEAST_SHARE for share in engines)
    if engines and engines[0] < 1:
        assert sum(share for share in given_shares if share is not None and share < 1) <= 1 + 1e-9


def test_a_larger_engine_gets_a_larger_share():
    chain = [*with_gpus(0.4), *with_gpus(None, memory_mb=8_000), *with_gpus(None, memory_mb=16_000)]
    assert [resources.gpus for resources in shares(chain)] == [0.4, 0.2, 0.4]


def test_a_model_that_overflows_its_share_is_refused_with_the_arithmetic():
    chain = with_gpus(0.25, None, memory_mb=20_000)
    with pytest.raises(ChainError, match=r"o0 needs about 20,000 MiB and its 0.25 of a GPU has 10,000: raise o0.gpus"):
        share_gpus(chain, gpu_memory_mb=40_000)
    share_gpus(chain, gpu_memory_mb=80_000)
    assert [operator.resources.gpus for operator in chain] == [0.25, 0.75]
    share_gpus(with_gpus(0.25, memory_mb=20_000), gpu_memory_mb=None)


def test_the_memory_of_this_machines_gpu_is_asked_of_its_driver(tmp_path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert local_gpu_memory() is None
    told = tmp_path / "nvidia-smi"
    told.write_text("#!/bin/sh\nprintf '81559\\n40960\\n'\n")
    told.chmod(0o755)
    assert local_gpu_memory() == 40960.0
    told.write_text("#!/bin/sh\nexit 9\n")
    assert local_gpu_memory() is None
