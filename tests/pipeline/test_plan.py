from __future__ import annotations

from pathlib import Path

from operators.contract import Operator, Resources
from pipeline.opening import Run
from pipeline.plan import Plan, plan
from store.models import S3Models
from tests.pipeline.small_chain import chain, made_operator


def planned_for(folder: Path, *operators: Operator) -> Plan:
    return plan(Run(job="test", input=str(folder), output=str(folder / "run"), chain=[*chain(), *operators]))


def test_the_plan_gives_operators_their_store_and_their_share(tmp_path: Path):
    engine = made_operator("engine", reads=("sharpness",), resources=Resources(gpus=None, concurrency=3, batch=16))
    small = made_operator("small", resources=Resources(gpus=0.25))
    planned = planned_for(tmp_path, small, engine)
    assert [stage.name for stage in planned.stages][1:] == ["small", "engine", "write"]
    assert planned.stages[2].gpus == 0.75
    assert isinstance(engine.model_store, S3Models)
    lines = "\n".join(planned.lines())
    assert "stage 3: 1 CPU, 0.75 GPU, 3 batches at once an actor, at least 1, as many as fit" in lines


def test_the_plan_names_the_models(tmp_path: Path):
    named = made_operator("named")
    named.revision = lambda: "clip@32bd64288804"
    assert "clip@32bd64288804" in "\n".join(planned_for(tmp_path, named).lines())
