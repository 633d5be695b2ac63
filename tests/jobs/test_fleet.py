"""Machines for a deadline, against arithmetic on paper."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.fleet import BOOT_SECONDS, SPOT_REPEATED, Choice, Fleet, Load, cpus_used, fleet
from jobs.forecast import Estimate
from jobs.prices import read_prices
from operators.errors import ConfigurationError
from store.sessions import StageRecord

PRICES = read_prices()
CHOICE = Choice(cpu="c7i.4xlarge", gpu="g6.2xlarge", head="m7i.xlarge", market="on_demand")
SPOT = Choice(cpu="c7i.4xlarge", gpu="g6.2xlarge", head="m7i.xlarge", market="spot")
CPU_STAGE = StageRecord(operators=("shots",), cpus=1, gpus=0)
GPU_STAGE = StageRecord(operators=("caption",), cpus=1, gpus=0.5)


def exactly(value: float) -> Estimate:
    return Estimate(value=value, low=value, high=value)


def a_load(cpu_hours: float, gpu_hours: float = 0.0, **changes: Any) -> Load:
    facts: dict[str, Any] = {
        "cpu_seconds": exactly(cpu_hours * 3600),
        "gpu_seconds": exactly(gpu_hours * 3600),
        "gpu_host_cpu_seconds": exactly(0.0),
        "stages": (CPU_STAGE, GPU_STAGE) if gpu_hours else (CPU_STAGE,),
        "start_seconds": 60.0,
        "tail_seconds": 600.0,
    }
    return Load(**{**facts, **changes})


def plan(load: Load, days: float = 1.0, choice: Choice = CHOICE, efficiency: float = 0.9) -> Fleet:
    return fleet(load, choice, PRICES, days, efficiency)


def test_cpu_machines_are_the_work_over_what_one_does_in_time() -> None:
    found = plan(a_load(16 * 24 * 0.9 * 10))  # ten machines for a day, without start-up and tail
    assert (found.cpu_nodes, found.gpu_nodes, found.bottleneck) == (11, 0, "cpu")
    assert found.hours == pytest.approx(24 * 10 / 11 + (BOOT_SECONDS + 60 + 600) / 3600)
    assert found.dollars.value == pytest.approx(found.hours * (11 * 0.714 + 0.2016))
    assert found.dollars.low == found.dollars.high == pytest.approx(found.dollars.value)


def test_gpus_or_their_hosts_may_be_the_bottleneck() -> None:
    by_gpu = plan(a_load(1.0, 20 * 24 * 0.9))
    assert (by_gpu.gpu_nodes, by_gpu.cpu_nodes, by_gpu.bottleneck) == (21, 1, "gpu")
    hungry = plan(a_load(1.0, 24 * 0.9, gpu_host_cpu_seconds=exactly(20 * 24 * 3600 * 0.9 * 8)))
    assert hungry.gpu_nodes == 21  # eight CPUs beside each GPU are what runs short


def test_every_gpu_stage_has_room_for_an_actor() -> None:
    stages = (CPU_STAGE, *(GPU_STAGE.model_copy(update={"gpus": 1.0}) for _ in range(3)))
    assert plan(a_load(1.0, 0.1, stages=stages)).gpu_nodes == 3


def test_memory_limits_the_cpus_that_are_used() -> None:
    machine = PRICES.machine("c7i.4xlarge")
    assert cpus_used(machine, [CPU_STAGE]) == 16
    hungry = CPU_STAGE.model_copy(update={"memory_mb": 4096})
    assert cpus_used(machine, [hungry]) == pytest.approx(32 * 0.7 / 4)
    assert cpus_used(machine, [hungry.model_copy(update={"gpus": 1.0})]) == 16


def test_spot_is_cheaper_by_the_hour_and_does_some_work_twice() -> None:
    load = a_load(1000.0)
    usual, spot = plan(load, 30), plan(load, 30, SPOT)
    lost = (BOOT_SECONDS + 60 + 600) / 3600
    assert spot.hours - lost == pytest.approx((usual.hours - lost) * (1 + SPOT_REPEATED))
    assert spot.dollars.value == pytest.approx(spot.hours * (spot.cpu_nodes * 0.29 + 0.2016))


def test_the_interval_of_the_work_is_that_of_its_machines() -> None:
    work = Estimate(value=3.6e6, low=1.8e6, high=7.2e6)
    found = plan(a_load(1.0, cpu_seconds=work), 30)
    machines = found.hours * found.cpu_nodes * 0.714
    head = found.hours * 0.2016
    assert found.dollars.low == pytest.approx(machines / 2 + head)
    assert found.dollars.high == pytest.approx(machines * 2 + head)


def test_what_cannot_be_in_time_is_refused() -> None:
    with pytest.raises(ConfigurationError, match=r"--days 0\.01: starting takes 0\.1 h and the longest video 0\.17 h"):
        plan(a_load(1.0), 0.01)
    with pytest.raises(ConfigurationError, match=r"gpu=c7i\.4xlarge: it has no GPU"):
        plan(a_load(1.0, 1.0), 1, Choice(cpu="c7i.4xlarge", gpu="c7i.4xlarge", head="m7i.xlarge", market="spot"))


@given(st.floats(1, 1e6), st.floats(0, 1e6), st.floats(0.1, 60), st.floats(0.3, 1))
def test_a_fleet_is_in_time_and_one_machine_fewer_is_not(cpu: float, gpu: float, days: float, share: float) -> None:
    found = plan(a_load(cpu, gpu), days, efficiency=share)
    assert found.hours <= days * 24 * (1 + 1e-9)
    left = days * 86_400 - BOOT_SECONDS - 660
    if found.cpu_nodes > 1:
        assert cpu * 3600 / (16 * share) > (found.cpu_nodes - 1) * left * (1 - 1e-9)
    if found.gpu_nodes > 1:
        assert gpu * 3600 / share > (found.gpu_nodes - 1) * left * (1 - 1e-9)
