"""The command line of a job: what it prints, what it refuses, and what it runs."""

from __future__ import annotations

import shlex
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from ray._private.runtime_env.constants import RAY_JOB_CONFIG_JSON_ENV_VAR

from jobs.command import SUBMITTED
from jobs.mmtrail import MMTRAIL, lite, main
from operators.errors import LeaseLost, RunMismatch
from pipeline.packing import shares
from pipeline.progress import Progress, Summary
from pipeline.run import Run

PROGRESS = Progress(phase="running", videos_total=2, partitions_total=1)
DONE = replace(PROGRESS, phase="done", videos_done=2, clips_kept=5, partitions_committed=1)


class Recorder:
    """Stands in for `pipeline.run.execute`: keeps the run it was given, reports, and ends as told."""

    def __init__(self, summary: Summary | None = None, problem: BaseException | None = None) -> None:
        self.runs: list[Run] = []
        self.summary = summary
        self.problem = problem

    def __call__(self, run, on_progress):
        self.runs.append(run)
        on_progress(PROGRESS)
        if self.problem is not None:
            raise self.problem
        return self.summary or Summary(progress=DONE, output=run.output)


def run_with(*argv: str) -> Run:
    recorder = Recorder()
    assert main(["--input", "in", "--output", "out", *argv], recorder) == 0
    return recorder.runs[0]


def shell(*argv: str) -> tuple[subprocess.CompletedProcess[str], float]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "error", "-m", "jobs.mmtrail", *argv], capture_output=True, text=True, timeout=120
    )
    return done, time.monotonic() - began


def test_a_submitted_job_refuses_a_folder_that_ray_throws_away(monkeypatch, tmp_path, capsys):
    """Ray's job server sets the variable, and `ray job submit` starts the driver in a copy of the folder."""
    assert SUBMITTED == RAY_JOB_CONFIG_JSON_ENV_VAR
    monkeypatch.setenv(SUBMITTED, "{}")
    monkeypatch.chdir(tmp_path)
    Path("films.csv").write_text("uri\n")
    recorder = Recorder()
    assert main(["--input", "films.csv", "--output", str(tmp_path / "out")], recorder) == 0
    assert main(["--input", "s3://bucket/in", "--output", "s3://bucket/out"], recorder) == 0
    capsys.readouterr()
    for argv in (["--input", "films.csv", "--output", "out"], ["--input", "in", "--output", "s3://bucket/out"]):
        assert main(argv, recorder) == 2
        assert "a submitted job works in a copy of your folder" in capsys.readouterr().err
    assert len(recorder.runs) == 2


def test_the_chain_reads_like_the_figure():
    names = [operator.name for operator in lite()]
    assert names == ["shots", "quality", "text", "tiers", "people", "caption", "audio", "music", "speech", "fusion"]
    assert all(operator.__doc__ for operator in lite())


def test_help_is_quick_and_shows_examples():
    done, seconds = min((shell("--help") for _ in range(3)), key=lambda result: result[1])
    assert done.returncode == 0
    assert "python -m jobs.mmtrail --input videos/ --output out/" in done.stdout
    assert done.stderr == ""
    assert seconds < 1


def test_without_ray_or_models_the_settings_are_listed():
    code = (
        "import sys; from jobs.mmtrail import main; code = main(['--help-settings']); "
        "heavy = {'ray', 'mediapipe', 'librosa', 'boto3'} & set(sys.modules); "
        "sys.exit(code or bool(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert "--set run.partition_size=64\n      videos committed together (whole number, ≥ 1, ≤ 100000)" in done.stdout
    assert "--set tiers.hq.min_height=720" in done.stdout
    for operator in lite():
        assert f"\n{operator.name}: " in done.stdout


def test_settings_of_one_operator(capsys):
    assert main(["--help-settings", "tiers"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("tiers: Gives every clip its tier")
    assert "run:" not in out
    assert main(["--help-settings", "tires"]) == 2
    assert "Did you mean 'tiers'?" in capsys.readouterr().err


def test_every_listed_setting_can_be_set_to_its_default(capsys):
    assert main(["--help-settings"]) == 0
    words = [line.strip() for line in capsys.readouterr().out.splitlines() if line.startswith("  --set ")]
    argv = [word for line in words for word in shlex.split(line)]
    assert len(argv) > 40
    assert main([*argv, "--show-config"]) == 0
    assert capsys.readouterr().out.split("\n", 1)[1] == _shown(capsys)


def _shown(capsys) -> str:
    assert main(["--show-config"]) == 0
    return capsys.readouterr().out.split("\n", 1)[1]


def test_the_shown_configuration_can_be_given_back(capsys, tmp_path):
    assert main(["--show-config", "--set", "tiers.hq.min_height=480", "--limit", "3"]) == 0
    shown = capsys.readouterr().out
    assert shown.startswith("# mmtrail, preset lite; use it with --config\nrun:\n  partition_size: 64\n  limit: 3\n")
    (tmp_path / "my.yaml").write_text(shown)
    run = run_with("--config", str(tmp_path / "my.yaml"))
    assert run.config["tiers"]["hq"]["min_height"] == 480
    assert run.limit == 3


@pytest.mark.parametrize("preset", ["base", "cluster"])
def test_the_presets_with_models_share_gpus_and_one_word_puts_them_on_the_cpu(preset):
    chain = run_with("--preset", preset).chain
    check_columns = {column for operator in lite() for column in operator.writes.names}
    assert check_columns <= {column for operator in chain for column in operator.writes.names}
    gpus = sum(need.gpus or 0 for need in shares(chain))
    assert 0 < gpus <= {"base": 1, "cluster": 3}[preset] + 1e-9
    on_cpu = run_with("--preset", preset, "--device", "cpu", "--set", "speech.device=cuda").chain
    assert [operator.name for operator in on_cpu if operator.resources.gpus] == ["speech"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("videos", "{here}/videos"),
        ("./videos/", "{here}/videos"),
        ("videos/../videos", "{here}/videos"),
        ("file:///data/my%20videos/", "/data/my videos"),
        ("s3://bucket/trailers/", "s3://bucket/trailers"),
    ],
)
def test_the_same_place_has_one_name_however_it_is_typed(typed, meant):
    run = run_with("--input", typed, "--output", typed + "-out/", "--reuse", typed)
    meant = meant.format(here=Path.cwd().resolve())
    assert (run.input, run.reuse) == (meant, meant)


def test_options_reach_the_run():
    run = run_with(
        "--partition-size", "16", "--limit", "9", "--media", "keep", "--cpus", "2", "--retry-failed",
        "--reuse", "old", "--take-over", "--address", "auto", "--set", "run.lease_term=5", "--append",
        "--set", "run.stall_seconds=600",
    )  # fmt: skip
    assert (run.job, run.partition_size, run.limit) == ("mmtrail", 16, 9)
    assert (run.keep_media, run.cpus, run.address, run.lease_term) == (True, 2, "auto", 5.0)
    assert (run.append, run.stall_seconds) == (True, 600.0)
    assert (run.retry_failed, run.reuse, run.take_over) == (True, str(Path("old").resolve()), True)
    assert [operator.name for operator in run.chain] == list(run.config)
    plain = run_with()
    assert (plain.partition_size, plain.limit, plain.keep_media, plain.cpus) == (64, None, False, None)
    assert (plain.retry_failed, plain.reuse, plain.take_over) == (False, None, False)


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        ([], "--input and --output must be given, e.g. --input videos/ --output out/"),
        (["--input", "x"], "--output must be given"),
        (["--input", "x", "--output", "./x/"], "--output must not be the input's folder"),
        (["--device", "cpu"], "--device: no operator of preset lite runs a model on a device"),
        (["--preset", "base", "--device", "gpu"], "aesthetics.device = 'gpu' must be one of 'auto', 'cpu', 'cuda' or"),
        (["--preset", "light"], "there is no preset 'light'. Did you mean 'lite'?"),
        (["--set", "shot.threshold=12"], "no operator is called 'shot'. Did you mean 'shots'?"),
        (["--set", "tiers.hq.min_heigth=1"], "tiers.hq has no setting 'min_heigth'. Did you mean 'min_height'?"),
        (["--partition-size", "0"], "run.partition_size = 0 must be at least 1"),
        (["--limit", "many"], "run.limit = 'many' must be a whole number"),
        (["--limit", "["], "--limit: "),
        (["--media", "kept"], "run.media = 'kept' must be one of 'drop' or 'keep'"),
        (["--config", "nowhere.yaml"], "--config nowhere.yaml: No such file or directory"),
        (["--plna"], "did you mean --plan?"),
        (["extra"], "unrecognized arguments: extra"),
    ],
)
def test_wrong_commands_exit_2_with_the_remedy(capsys, argv, said):
    recorder = Recorder()
    assert main(argv, recorder) == 2
    captured = capsys.readouterr()
    assert said in captured.err
    assert "Traceback" not in captured.err
    assert (captured.out, recorder.runs) == ("", [])


def test_a_run_reports_on_stderr_and_sums_up_on_stdout(capsys):
    assert main(["--input", "in", "--output", "out"], Recorder()) == 0
    captured = capsys.readouterr()
    assert captured.err.splitlines()[0] == "[0 s] starting"
    assert "running: 0 of 2 videos" in captured.err
    assert captured.out.splitlines()[0] == "2 of 2 videos in 0 s, 1 of 1 partitions committed"


def test_plan_prints_the_chain_and_starts_nothing(tmp_path):
    code = (
        "import sys; from jobs.mmtrail import main; code = main(sys.argv[1:]); "
        "import ray; sys.exit(code or ray.is_initialized())"
    )
    argv = ["--input", str(tmp_path), "--output", str(tmp_path / "out"), "--plan", "--media", "keep"]
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("stage 1: ")
    said = [line.split()[0] for line in done.stdout.splitlines() if "→" in line]
    assert said == [operator.name for operator in lite()]
    assert not (tmp_path / "out").exists()


def test_what_was_not_committed_exits_1(capsys):
    summary = Summary(progress=PROGRESS, output="out", uncommitted=(0,))
    assert main(["--input", "in", "--output", "out"], Recorder(summary)) == 1
    assert "1 partitions could not be committed: 0" in capsys.readouterr().out


@pytest.mark.parametrize(("problem", "code"), [(RunMismatch("other settings"), 2), (LeaseLost("taken over"), 1)])
def test_errors_of_the_run_keep_their_exit_code(capsys, problem, code):
    assert main(["--input", "in", "--output", "out"], Recorder(problem=problem)) == code
    assert capsys.readouterr().err.endswith(f"error: {problem}\n")


def test_ctrl_c_says_how_to_go_on(capsys):
    argv = ["--input", "my videos", "--output", "out", "--set", "tiers.hq.min_height=480"]
    assert main(argv, Recorder(problem=KeyboardInterrupt())) == 130
    error = capsys.readouterr().err
    assert error.endswith(
        "Stopped. Nothing that was committed is lost. To go on, run the same command again:\n"
        "  python -m jobs.mmtrail --input 'my videos' --output out --set tiers.hq.min_height=480\n"
    )


def test_presets_are_described():
    assert all(preset.summary for preset in MMTRAIL.presets.values())
