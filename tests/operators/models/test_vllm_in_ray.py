"""vLLM inside a Ray actor: three batches at once, and no process left when the actor is killed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import psutil
import pytest

ROOT = Path(__file__).parents[3]
SECONDS = 420
RECITED = {
    "polish_caption": "A small dog runs over wet sand and shakes its fur.",
    "merge_caption": "On a wide beach, the small dog runs along wet sand, then stops to shake its fur before a wave "
    "comes in under low evening light.",
}
CLIP = {
    "record": "clip", "error": None, "background": "low evening light", "objects": ["wave"],
    "caption": "A small dog runs over wet sand on a wide beach, shaking its fur.",
}  # fmt: skip


@pytest.mark.skipif(find_spec("vllm") is None, reason="vLLM is not installed")
def test_an_actor_answers_batches_at_once_and_takes_its_engine_along_when_killed(tmp_path: Path):
    from tests.tiny.llama import write_reciting_llama

    folder = write_reciting_llama(tmp_path / "model", json.dumps(RECITED))
    clips = [{**CLIP, "clip_id": f"v_{number}"} for number in range(4)]
    command = [sys.executable, "-m", "tests.operators.models.engine_in_actor", str(folder), json.dumps(clips)]
    environment = {**os.environ, "RAY_AUTH_MODE": "disabled", "PYTHONPATH": str(ROOT)}
    with (tmp_path / "log").open("w+") as log:
        driver = subprocess.Popen(
            command, cwd=ROOT, env=environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        try:
            assert driver.stdout is not None
            line = driver.stdout.readline()
            assert line, (tmp_path / "log").read_text()[-3000:]
            found = json.loads(line)
            engine = [psutil.Process(number) for number in found["processes"] if psutil.pid_exists(number)]
            assert psutil.wait_procs(engine, timeout=30)[1] == []
        finally:
            try:
                driver.communicate("done\n", timeout=60)
            except subprocess.TimeoutExpired:
                driver.kill()
                driver.wait(10)
    assert found["processes"]
    for rows in found["batches"]:
        assert [row["clip_id"] for row in rows] == [clip["clip_id"] for clip in clips]
        assert [row["error"] for row in rows] == [None] * 4
        assert {row["merge_caption"] for row in rows} == {RECITED["merge_caption"]}
        assert {row["merge_fallback"] for row in rows} == {None}
