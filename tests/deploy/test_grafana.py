"""The dashboard can be imported, and asks only for what this project and the pinned Ray export."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.dashboard.modules.reporter.reporter_agent import METRICS_GAUGES
from ray.data._internal import stats
from ray.data._internal.execution.interfaces.op_runtime_metrics import OpRuntimeMetrics

from pipeline.series import SERIES

FILE = Path(__file__).parents[2] / "deploy" / "grafana.json"
ROWS = [
    "Overview",
    "Yield and drops",
    "Failures",
    "Operators",
    "Queues and resources",
    "Tokens",
    "Cluster nodes",
]
WORDS = {"by", "sum", "min", "max", "topk", "rate", "increase", "deriv", "histogram_quantile", "max_over_time"}
WORDS |= {"ignoring", "group_left"}
OF_RAY = {"operator", "Location", "instance"}
"""Labels of Ray's own series that the dashboard groups by; seen on the scraped page of a node."""


@pytest.fixture(scope="module")
def dashboard() -> dict[str, Any]:
    return json.loads(FILE.read_text(encoding="utf-8"))


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def expressions(dashboard: dict[str, Any]) -> Iterator[str]:
    for panel in panels(dashboard):
        for target in panel["targets"]:
            yield target["expr"]


def known_of_ray() -> set[str]:
    """Names that Ray's reporter and Ray Data export, without their prefix."""
    data = {f"data_{metric.name}" for metric in OpRuntimeMetrics.get_metrics()}
    return data | set(re.findall(r'"(data_\w+)"', inspect.getsource(stats))) | set(METRICS_GAUGES)


def exported(name: str) -> bool:
    bare = name.removeprefix("ray_")
    ours = re.sub(r"_(bucket|sum|count)$", "", bare) if bare not in SERIES else bare
    if bare.startswith("rushes_"):
        return ours in SERIES and (ours == bare) == (SERIES[ours].kind != "histogram")
    raylet = Path(ray.__file__).parent / "core" / "src" / "ray" / "raylet" / "raylet"
    return bare in known_of_ray() or bare.removesuffix("_total").encode() in raylet.read_bytes()


def test_it_can_be_imported(dashboard: dict[str, Any]):
    assert (dashboard["title"], dashboard["uid"]) == ("Rushes", "rushes")
    assert dashboard["schemaVersion"] >= 36, "data sources are named by type and uid"
    assert "id" not in dashboard and "__inputs" not in dashboard
    assert [panel["title"] for panel in dashboard["panels"] if panel["type"] == "row"] == ROWS
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    assert {panel["type"] for panel in panels(dashboard)} <= {"stat", "timeseries", "bargauge"}
    for panel in panels(dashboard):
        refs = [target["refId"] for target in panel["targets"]]
        assert refs and len(refs) == len(set(refs)), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["title"], panel["id"]


def test_no_panel_lies_on_another(dashboard: dict[str, Any]):
    taken: dict[tuple[int, int], str] = {}
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] >= 0 and place["x"] + place["w"] <= 24
        for cell in ((x, y) for x in range(place["x"], place["x"] + place["w"])
                     for y in range(place["y"], place["y"] + place["h"])):  # fmt: skip
            assert cell not in taken, f"{panel['title']} on {taken.get(cell)}"
            taken[cell] = panel["title"]


def test_the_data_source_is_a_variable_everywhere(dashboard: dict[str, Any]):
    variables = {variable["name"]: variable for variable in dashboard["templating"]["list"]}
    assert (variables["datasource"]["type"], variables["datasource"]["query"]) == ("datasource", "prometheus")
    wanted = {"type": "prometheus", "uid": "${datasource}"}
    asking = [*panels(dashboard), *(target for panel in panels(dashboard) for target in panel["targets"])]
    asking += [variable for variable in variables.values() if variable["type"] == "query"]
    assert all(each["datasource"] == wanted for each in asking)
    used = set(re.findall(r"\$(?!__)\{?(\w+)", json.dumps(dashboard)))
    assert used == set(variables), "every variable is there, and is used"


def test_every_query_asks_for_what_is_exported(dashboard: dict[str, Any]):
    queries = [
        variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["type"] == "query"
    ]
    for query in [*expressions(dashboard), *queries]:
        assert query.count("(") == query.count(")") and query.count("{") == query.count("}"), query
        names = re.findall(r"\bray_\w+", re.sub(r'"[^"]*"', "", query))
        assert names, query
        for name in names:
            assert exported(name), f"{name} in {query}"


def test_every_query_is_made_of_known_words_and_labels(dashboard: dict[str, Any]):
    for query in expressions(dashboard):
        bare = re.sub(r"\{[^}]*\}|\[[^]]*\]", "", query)
        names = {name.removeprefix("ray_") for name in re.findall(r"\bray_\w+", bare)}
        own = {re.sub(r"_bucket$", "", name) for name in names if name.startswith("rushes_")}
        labels = {"run", "job_name", "le"}.union(*(SERIES[name].labels for name in own)) if own else OF_RAY
        grouped = re.findall(r"\b(?:by|ignoring) \(([^)]*)\)", bare)
        assert {label.strip() for group in grouped for label in group.split(",")} <= labels, query
        assert not re.search(r"group_left \([^)]", bare), f"{query}: takes what follows for labels"
        words = set(re.findall(r"[A-Za-z_]\w*", re.sub(r"\b(?:by|ignoring) \([^)]*\)|\bray_\w+", "", bare)))
        assert words <= WORDS, query
        for matched in re.findall(r"(ray_rushes_\w+)(\{[^}]*\})?", query):
            assert matched[1].startswith('{job_name=~"$job",run=~"$run"'), query


def test_every_series_of_ours_is_on_it(dashboard: dict[str, Any]):
    text = " ".join(expressions(dashboard))
    assert [name for name in SERIES if f"ray_{name}" not in text] == []


def test_a_name_that_nobody_exports_is_noticed():
    assert not exported("ray_rushes_clip_total")
    assert not exported("ray_rushes_partition_seconds")
    assert not exported("ray_data_no_such_thing")
    assert exported("ray_rushes_partition_seconds_bucket")
