"""The files of Ray's cluster launcher, by Ray's own checks; AWS's also by launching each node type on moto's EC2."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from moto import mock_aws
from ray.autoscaler._private.providers import _get_node_provider_cls
from ray.autoscaler._private.util import prepare_config, validate_config

ROOT = Path(__file__).parents[2]
FILES = ("cluster.yaml", "deploy/cluster-gcp.yaml")
SPOT = {
    "aws": lambda node: node.get("InstanceMarketOptions", {}).get("MarketType") == "spot",
    "gcp": lambda node: node.get("scheduling", {}).get("provisioningModel") == "SPOT",
}


@pytest.fixture(scope="module", params=FILES)
def config(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What Ray makes of the file; it has passed Ray's schema."""
    config = prepare_config(yaml.safe_load((ROOT / request.param).read_text()))
    validate_config(config)
    return config


def test_the_head_stays_and_takes_no_work(config: dict[str, Any]) -> None:
    head = config["available_node_types"][config["head_node_type"]]
    assert (head["resources"]["CPU"], head["resources"]["GPU"]) == (0, 0)
    assert head["max_workers"] == 0
    assert not SPOT[config["provider"]["type"]](head["node_config"])
    [start] = [line for line in config["head_start_ray_commands"] if "ray start --head" in line]
    assert {"--num-cpus=0", "--num-gpus=0"} <= set(start.split())


def test_workers_are_spot_machines_told_apart_by_a_label(config: dict[str, Any]) -> None:
    workers = {name: kind for name, kind in config["available_node_types"].items() if name != config["head_node_type"]}
    assert {name: kind["labels"] for name, kind in workers.items()} == {
        "decode": {"rushes/role": "decode"},
        "models": {"rushes/role": "models"},
    }
    for kind in workers.values():
        assert kind["min_workers"] == 0 < kind["max_workers"]
        assert SPOT[config["provider"]["type"]](kind["node_config"])
    assert sum(kind["max_workers"] for kind in workers.values()) == config["max_workers"]
    assert workers["models"]["docker"]["worker_image"].endswith("-gpu")
    assert config["docker"]["image"].endswith("-cpu")


def test_every_node_wants_the_token_and_nobody_else_reaches_the_dashboard(config: dict[str, Any]) -> None:
    assert "--env RAY_AUTH_MODE=token" in config["docker"]["run_options"]
    assert config["file_mounts"]["/home/rushes/.ray/auth_token"] == "~/.ray/auth_token"
    starts = [line for line in config["head_start_ray_commands"] if "ray start" in line]
    assert all("--dashboard-host=127.0.0.1" in line for line in starts)
    assert "0.0.0.0" not in str(config["head_start_ray_commands"])


def test_nothing_is_installed_when_a_node_starts(config: dict[str, Any]) -> None:
    """Ray's defaults install Ray; the merged lists must not hold them."""
    commands = [*config["head_setup_commands"], *config["worker_setup_commands"]]
    assert not re.search(r"\b(pip|conda|apt-get|curl|wget)\b", " ".join(commands))


@pytest.mark.parametrize("name", FILES)
def test_whatever_is_somebodys_own_is_marked(name: str) -> None:
    for line in (ROOT / name).read_text().splitlines():
        if re.search(r"REGISTRY|\bACCOUNT\b|\bPROJECT\b|ImageId|\bregion:", line.partition("#")[0]):
            assert "FILL IN" in line or _marked_above(name, line), line


def _marked_above(name: str, line: str) -> bool:
    """A comment of the lines just above may hold the mark."""
    above = (ROOT / name).read_text().partition(line)[0].splitlines()[-6:]
    return any("FILL IN" in comment for comment in above)


@pytest.fixture
def on_a_stand_in_of_aws(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """`cluster.yaml` with its gaps filled in, after Ray's provider has set up keys, subnets and a security group."""
    monkeypatch.setenv("HOME", str(tmp_path))  # Ray keeps the key pair in ~/.ssh
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    with mock_aws():
        import boto3

        text = (ROOT / "cluster.yaml").read_text().replace("ACCOUNT", "123456789012")
        raw = yaml.safe_load(text)
        images = boto3.client("ec2", raw["provider"]["region"]).describe_images()["Images"]
        iam = boto3.client("iam")
        for role in ("rushes-head", "rushes-worker"):
            iam.create_instance_profile(InstanceProfileName=role)
        config = prepare_config(raw)
        validate_config(config)
        for kind in config["available_node_types"].values():
            kind["node_config"]["ImageId"] = images[0]["ImageId"]
        provider = _get_node_provider_cls(config["provider"])
        yield provider.bootstrap_config(provider.fillout_available_node_types_resources(config))


def test_aws_launches_every_node_type(on_a_stand_in_of_aws: dict[str, Any]) -> None:
    config = on_a_stand_in_of_aws
    kinds = config["available_node_types"]
    assert kinds["head"]["resources"]["CPU"] == 0
    assert kinds["decode"]["resources"]["CPU"] == 16
    assert "GPU" not in kinds["decode"]["resources"]
    assert kinds["models"]["resources"]["GPU"] == 1
    provider = _get_node_provider_cls(config["provider"])(config["provider"], config["cluster_name"])
    for name, kind in kinds.items():
        tags = {"ray-node-type": "worker", "ray-user-node-type": name, "ray-launch-config": "0"}
        created: Any = provider.create_node(copy.deepcopy(kind["node_config"]), tags, 1)
        [made] = created.values()
        assert made.instance_type == kind["node_config"]["InstanceType"]
        assert made.instance_lifecycle == (None if name == "head" else "spot")
        assert made.iam_instance_profile["Arn"] == kind["node_config"]["IamInstanceProfile"]["Arn"]
