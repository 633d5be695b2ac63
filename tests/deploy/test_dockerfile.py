"""The Dockerfile's rules. Its steps themselves are run by deploy/try_image.sh."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from deploy.dockerfile import stages, target

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "Dockerfile").read_text()
SCRIPT = (ROOT / "deploy" / "image.sh").read_text()
TARGETS = ("cpu", "gpu")


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_ends_as_a_user_without_rights(name: str) -> None:
    users = [words for instruction, words in target(TEXT, name) if instruction == "USER"]
    assert users == ["1000:1000"]
    after = [instruction for instruction, _ in target(TEXT, name)]
    assert "RUN" not in after[after.index("USER") :]


@pytest.mark.parametrize("name", TARGETS)
def test_every_run_is_a_step_of_the_script(name: str) -> None:
    runs = [words for instruction, words in target(TEXT, name) if instruction == "RUN"]
    steps = [re.fullmatch(r"sh deploy/image\.sh (\w+)(?: \S+)?", words) for words in runs]
    assert all(steps), runs
    functions = re.findall(r"^(\w+)\(\) \{", SCRIPT, re.MULTILINE)
    assert {step[1] for step in steps if step} <= set(functions)


def test_both_targets_stand_on_one_pinned_base() -> None:
    bases = {target(TEXT, name)[0] for name in TARGETS}
    assert len(bases) == 1
    [(_, base)] = bases
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", base)


def test_packages_come_pinned_and_nothing_is_fetched_into_a_shell() -> None:
    installs = [line for line in SCRIPT.splitlines() if "$pip install" in line]
    assert installs
    assert all(re.search(r'--constraint (constraints\.txt|"\$pins")', line) for line in installs)
    assert not re.search(r"\b(curl|wget)\b", TEXT + SCRIPT)
    for name in ("constraints.txt", "deploy/constraints-gpu.txt"):
        lines = (ROOT / name).read_text().splitlines()
        assert all(re.match(r"[\w.-]+={2,3}\S+$", line) for line in lines if not line.startswith("#")), name


def test_what_is_copied_may_enter_the_build() -> None:
    steps = [step for name in TARGETS for step in target(TEXT, name)]
    copied = {word for instruction, words in steps if instruction == "COPY" for word in words.split()[:-1]}
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert copied == let_in
    assert all((ROOT / name).exists() for name in copied)


def test_an_instruction_that_the_trial_would_skip_is_refused() -> None:
    with pytest.raises(ValueError, match="ADD"):
        stages("FROM a AS b\nADD x y\n")
    with pytest.raises(ValueError, match="no stage is called tpu"):
        target(TEXT, "tpu")


def test_lines_that_go_on_are_read_as_one() -> None:
    text = "FROM a AS b\n# a comment\nENV X=1 \\\n    # another\n    Y=2\nFROM b AS c\nRUN d\n"
    assert target(text, "c") == [("FROM", "a"), ("ENV", "X=1 Y=2"), ("RUN", "d")]


@pytest.mark.parametrize("script", ["image.sh", "try_image.sh"])
def test_the_scripts_are_whole(script: str) -> None:
    shell = "sh" if script == "image.sh" else "bash"
    assert subprocess.run([shell, "-n", str(ROOT / "deploy" / script)], check=False).returncode == 0


def test_an_unknown_step_is_refused() -> None:
    told = subprocess.run(
        ["sh", str(ROOT / "deploy" / "image.sh"), "paint"], capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stderr) == (2, "image.sh: no step is called paint\n")
