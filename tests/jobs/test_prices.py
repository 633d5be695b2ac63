"""The price table: the one that is shipped, and what is said about a wrong one."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from jobs.prices import Prices, parse_prices, read_prices
from operators.errors import ConfigurationError

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "jobs" / "prices.yaml").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def prices() -> Prices:
    return read_prices()


def test_the_shipped_table_can_be_read_and_says_how_old_it_is(prices: Prices) -> None:
    assert prices.as_of.year >= 2025
    assert "CHECK THEM" in TEXT
    for machine in prices.machines.values():
        assert machine.spot is None or machine.spot < machine.on_demand
        assert bool(machine.gpus) == bool(machine.gpu) == bool(machine.gpu_memory_gb)
    for url in ("http://unknown:8000/v1", "http://unknown:8000/v1/"):
        assert prices.endpoint(url) == prices.endpoints["default"]


def test_the_shipped_table_is_part_of_the_package() -> None:
    facts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert "prices.yaml" in facts["tool"]["setuptools"]["package-data"]["jobs"]


def test_a_machine_without_a_spot_price_costs_as_on_demand(prices: Prices) -> None:
    machine = prices.machine("c7i.4xlarge").model_copy(update={"spot": None})
    assert machine.hourly("spot") == machine.hourly("on_demand") == machine.on_demand


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("gb_month", "gb_mont", "storage has no 'gb_mont'. Did you mean 'gb_month'?"),
        ("cpus: 4,", "cpu: 4,", "machines.m7i.xlarge has no 'cpu'. Did you mean 'cpus'?"),
        ("currency", "curency", "the price table has no 'curency'. Did you mean 'currency'?"),
        (
            "input_per_million",
            "input_per_milion",
            "endpoints.default has no 'input_per_milion'. Did you mean 'input_per_million'?",
        ),
        ("gb_month: 0.023", "", "storage.gb_month must be given. It is: dollars to keep a GB for a month"),
        ("on_demand: 0.2016", "on_demand: -1", "machines.m7i.xlarge.on_demand = -1 must be more than 0"),
        ("on_demand: 0.2016", "on_demand: cheap", "machines.m7i.xlarge.on_demand = 'cheap' must be a number"),
        ("cpu_machine: c7i.4xlarge", "cpu_machine: c7i.4x", "cpu_machine 'c7i.4x' is none of the machines."),
        ("gpu_machine: g6.2xlarge", "gpu_machine: m7i.xlarge", "gpu_machine 'm7i.xlarge' has no GPU"),
        ("as_of: 2025-10-01", "as_of: lately", "as_of = 'lately' is refused"),
        ("currency: USD", "currency: EUR", "currency = 'EUR' must be one of 'USD'"),
        ("gb_month: 0.023", "gb_month: 0.023\n  gb_month: 1", "the key 'gb_month' comes twice"),
    ],
)
def test_what_is_wrong_is_named_with_the_nearest(old: str, new: str, complaint: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigurationError) as caught:
        parse_prices(TEXT.replace(old, new, 1), "--prices mine.yaml")
    assert complaint in str(caught.value)
    assert str(caught.value).startswith("--prices mine.yaml: ")


@pytest.mark.parametrize("content", [b"", b"- 1\n", b"text", b"\xff\xfe", b"#" * (2 << 20)])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "prices.yaml"
    path.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"--prices .*prices\.yaml: "):
        read_prices(path)
    with pytest.raises(ConfigurationError, match="No such file"):
        read_prices(tmp_path / "missing.yaml")


def test_an_unknown_machine_names_the_nearest(prices: Prices) -> None:
    with pytest.raises(ConfigurationError, match=r"no machine 'c7i.4xlrge'. Did you mean 'c7i.4xlarge'\?"):
        prices.machine("c7i.4xlrge")
