"""How much of their models' speed the operators keep, without Ray, with random weights.

    python -m benchmarks.models --size real --device cuda --json

For each operator: clips per second through the operator's own `__call__`, against its limit in the same run.
The limit is the same model in a bare loop on preloaded, preprocessed full batches; for the operators that
ask a chat model it is vLLM's own offline throughput on the same prompts. The two take turns; figures
are medians over the rounds. Every operator runs in a process of its own, with the GPU to itself.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import multiprocessing
import os
import platform
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from benchmarks.model_rounds import CASES, measure

RATIO_GOAL, BUSY_GOAL = 0.95, 0.9
CLIPS = {"tiny": 32, "real": 512}
HEADINGS = (
    "operator", "clips/s", "limit", "ratio", "CPU ms/clip", "limit's", "GPU busy", "FLOPs used", "GPU MiB",
)  # fmt: skip


def chain(cases: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The GPU's busy share where the operators go over the clips one after another, and its goal."""
    measured = [case for case in cases if case.get("busy") is not None]
    seconds = sum(case["operator_seconds"] / case["clips"] for case in measured)
    busy = sum(case["busy"] * case["operator_seconds"] / case["clips"] for case in measured)
    return {"busy": round(busy / seconds, 3) if seconds else None, "goal": BUSY_GOAL}


def machine(device: str) -> str:
    """The processor, the GPU and the versions that the figures hang on."""
    versions = [f"{name} {importlib.metadata.version(name)}" for name in ("torch", "transformers") if _installed(name)]
    parts = [f"{platform.machine()}, {os.cpu_count()} CPUs ({_processor()})", _gpu(device)]
    return ", ".join([*parts, f"Python {platform.python_version()}", *versions])


def table(report: dict[str, Any]) -> str:
    """The report as a Markdown table with its goals, and the errors below it."""
    rows = [
        (
            case["operator"],
            _number(case["clips_per_second"]["operator"]), _number(case["clips_per_second"]["limit"]),
            f"{case['ratio']:.2f}",
            _number(case["cpu_ms_per_clip"]["operator"]), _number(case["cpu_ms_per_clip"]["limit"]),
            _percent(case["busy"]), _percent(case["flops_utilisation"]), _number(case["gpu_memory_mb"]),
        )
        for case in report["cases"]
        if "error" not in case
    ]  # fmt: skip
    lines = [f"| {' | '.join(cells)} |" for cells in (HEADINGS, ("---",) * len(HEADINGS), *rows)]
    failed = [f"{case['operator']}: {case['error']}" for case in report["cases"] if "error" in case]
    goals = f"Goals: ratio {RATIO_GOAL} or more for each; GPU busy {BUSY_GOAL:.0%} or more over the chain"
    reached = _percent(report["chain"]["busy"])
    return "\n".join([report["machine"], "", *lines, "", f"{goals} (here {reached}).", *failed])


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 1 where an operator could not be measured."""
    options = _parser().parse_args(argv)
    device = _device(options.device)
    size = options.size or ("real" if device == "cuda" else "tiny")
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # threads that spin while they wait hold up a busy machine
    cases = []
    for name in options.operators:
        print(f"{name} …", file=sys.stderr)
        asked = {
            "size": size,
            "device": device,
            "clips": options.clips or CLIPS[size],
            "rounds": options.rounds,
            "settings": {field: value for operator, field, value in options.set if operator == name},
        }
        cases.append(_in_a_process(name, asked))
        print(json.dumps(cases[-1]), file=sys.stderr)  # stays where the run is cut short
    report = {
        "machine": machine(device),
        "device": device,
        "size": size,
        "weights": "random",
        "rounds": options.rounds,
        "cases": cases,
        "ratio_goal": RATIO_GOAL,
        "chain": chain(cases),
    }
    print(json.dumps(report) if options.json else table(report))
    return int(any("error" in case for case in cases))


def _in_a_process(name: str, asked: dict[str, Any]) -> dict[str, Any]:
    context = multiprocessing.get_context("spawn")
    # vLLM writes its log to standard output, where the report belongs.
    with ProcessPoolExecutor(1, mp_context=context, initializer=os.dup2, initargs=(2, 1)) as pool:
        try:
            return pool.submit(measure, name, **asked).result()
        except BrokenProcessPool:
            return {"operator": name, "error": "its process was killed, most often for want of memory"}
        except Exception as problem:
            return {"operator": name, "error": f"{type(problem).__name__}: {problem}"}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.models", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", choices=["tiny", "real"], help="of the models (default: real on CUDA, else tiny)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto", help="where they run")
    parser.add_argument(
        "--operators", type=_operators, default=list(CASES), help=f"which, with commas (default: {','.join(CASES)})"
    )
    parser.add_argument("--clips", type=_positive, help="clips of a round (default: 32 if tiny, 512 if real)")
    parser.add_argument("--rounds", type=_positive, default=3, help="rounds of operator and limit (default: 3)")
    parser.add_argument(
        "--set", type=_setting, action="append", default=[], metavar="OPERATOR.FIELD=VALUE",
        help="change an operator's setting, such as aesthetics.threads=8; the value is JSON",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


def _operators(names: str) -> list[str]:
    chosen = names.split(",")
    if unknown := [name for name in chosen if name not in CASES]:
        raise argparse.ArgumentTypeError(f"no operator {', '.join(unknown)}; there are {', '.join(CASES)}")
    return chosen


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("must be 1 or more")
    return number


def _setting(text: str) -> tuple[str, str, Any]:
    name, _, value = text.partition("=")
    operator, _, field = name.partition(".")
    if operator not in CASES or not field:
        raise argparse.ArgumentTypeError(f"write OPERATOR.FIELD=VALUE with one of {', '.join(CASES)}")
    try:
        return operator, field, json.loads(value)
    except ValueError:
        return operator, field, value


def _device(wanted: str) -> str:
    from operators.models.device import import_torch

    there = import_torch().cuda.is_available()
    if wanted == "cuda" and not there:
        raise SystemExit("torch finds no CUDA GPU here; use --device cpu")
    return "cuda" if there and wanted != "cpu" else "cpu"


def _gpu(device: str) -> str:
    if device != "cuda":
        return "no GPU used"
    import torch

    return torch.cuda.get_device_name(0)


def _processor() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.is_file() else []
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def _installed(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.0f} %"


if __name__ == "__main__":
    sys.exit(main())
