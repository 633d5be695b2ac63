"""deploy/kuberay.yaml against the published fields, and by what Ray's autoscaler reads from it."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from ray.autoscaler._private.kuberay.autoscaling_config import _derive_autoscaling_config_from_ray_cr

ROOT = Path(__file__).parents[2]
SCHEMA = json.loads(Path(__file__).with_name("rayjob.schema.json").read_text())


@pytest.fixture(scope="module")
def job() -> dict[str, Any]:
    return yaml.safe_load((ROOT / "deploy" / "kuberay.yaml").read_text())


def pod_templates(job: dict[str, Any]) -> list[dict[str, Any]]:
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [job["spec"]["submitterPodTemplate"], *(group["template"] for group in groups)]


def test_it_holds_only_what_kuberay_and_kubernetes_know(job: dict[str, Any]) -> None:
    jsonschema.validate(job, SCHEMA)


@pytest.mark.parametrize(
    "path",
    [("spec", "entryPoint"), ("spec", "rayClusterSpec", "autoscaling"), ("spec", "rayClusterSpec", "rayVersion")],
)
def test_the_schema_refuses_a_wrong_name_and_a_wrong_type(job: dict[str, Any], path: tuple[str, ...]) -> None:
    wrong = json.loads(json.dumps(job))
    place = wrong
    for name in path[:-1]:
        place = place[name]
    place[path[-1]] = 2.6
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(wrong, SCHEMA)


def test_rays_autoscaler_reads_what_was_meant(job: dict[str, Any]) -> None:
    """Ray's own translation, which validates against Ray's schema."""
    cluster = {"metadata": {"name": "rushes", "namespace": "default"}, "spec": job["spec"]["rayClusterSpec"]}
    read = _derive_autoscaling_config_from_ray_cr(cluster)
    kinds = read["available_node_types"]
    assert kinds[read["head_node_type"]]["resources"]["CPU"] == 0
    assert kinds["decode"]["labels"] == {"rushes/role": "decode"}
    assert kinds["decode"]["resources"]["CPU"] == 15
    assert "GPU" not in kinds["decode"]["resources"]
    assert kinds["models"]["labels"] == {"rushes/role": "models"}
    assert kinds["models"]["resources"]["GPU"] == 1
    assert [kinds[name]["min_workers"] for name in ("decode", "models")] == [0, 0]
    assert read["idle_timeout_minutes"] == 10


def test_pods_run_unprivileged_as_the_images_user(job: dict[str, Any]) -> None:
    for template in pod_templates(job):
        assert template["spec"]["securityContext"]["runAsNonRoot"] is True
        assert template["spec"]["securityContext"]["runAsUser"] == 1000
        for container in template["spec"]["containers"]:
            assert container["securityContext"]["allowPrivilegeEscalation"] is False
            assert container["securityContext"]["capabilities"]["drop"] == ["ALL"]


def test_every_request_wants_the_token_of_a_secret(job: dict[str, Any]) -> None:
    assert job["spec"]["rayClusterSpec"]["authOptions"] == {"mode": "token", "secretName": "rushes-auth"}


def test_the_cluster_is_of_the_ray_that_is_installed(job: dict[str, Any]) -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert extras["cluster"] == [f"ray[default]=={job['spec']['rayClusterSpec']['rayVersion']}"]
