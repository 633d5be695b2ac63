"""Three ways to run vLLM under Ray Data's roof, on the same prompts: which keeps it full, which minds a bad row?

    python -m benchmarks.engines --clips 256
    python -m benchmarks.engines --model Qwen/Qwen3-4B-Instruct-2507 --load-format dummy --clips 4096

offline is vLLM's own `LLM.chat` with all prompts at once: the limit. ours is the fusion operator's engine,
given batches by threads, as a Ray actor of the pipeline gives them. ray is `ray.data.llm`. Each runs in a
process of its own with the same model, numbers and limits, and decodes the same number of tokens for
each prompt. Start-up is left out: of ray, the rate counts from the first blocks of answers on, as many as
run at once. Beside wall time, the CPU seconds of all processes are given, which other work on the machine
disturbs less.

Then each gets one prompt that is too long among good ones, and what comes back is told.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from operators.errors import RowFailure
from operators.language.fused import facts_of
from operators.language.prompts.fusion import fusion_request
from operators.models.chat import ChatRequest

WAYS = ("offline", "ours", "ray")
TOO_LONG = "word " * 4000
TIMEOUT = 1200


def clips(count: int) -> list[dict[str, Any]]:
    """Clips with a picture, music and speech, of different lengths."""
    return [
        {
            "caption": f"Scene {number} shows a street at night. " * (1 + number % 5),
            "objects": ["street", "lamp"], "music_share": 1.0, "tempo": 60.0 + number % 90, "key": "A minor",
            "audio_tags": [], "speech_share": 0.5, "transcript": f"this is line {number} " * (1 + number % 9),
            "transcript_quality": "high", "words": [],
        }
        for number in range(count)
    ]  # fmt: skip


def requests(count: int, tokens: int) -> list[ChatRequest]:
    """The fusion operator's requests for `clips`, without their schema, cut at `tokens`."""
    return [
        ChatRequest(messages=fusion_request(facts_of(clip), instructions="").messages, max_tokens=tokens)
        for clip in clips(count)
    ]


def turns(request: ChatRequest) -> list[dict[str, str]]:
    """The messages of a request as vLLM and Ray take them."""
    return [{"role": message.role, "content": message.text} for message in request.messages]


def offline(model: str, asked: Sequence[ChatRequest], arguments: argparse.Namespace) -> dict[str, Any]:
    """vLLM's own batch interface."""
    from operators.models.vllm_engine import import_vllm

    vllm = import_vllm()
    llm = vllm.LLM(model, **_engine(arguments))
    sampling = vllm.SamplingParams(temperature=0.0, max_tokens=arguments.tokens, seed=0)
    llm.chat([turns(request) for request in asked[:8]], sampling, use_tqdm=False)
    texts: list[str] = []

    def run() -> None:
        found = llm.chat([turns(request) for request in asked], sampling, use_tqdm=False)
        texts.extend(output.outputs[0].text for output in found)

    measured = _measured(run, len(asked))
    bad = [*map(turns, asked[:4]), [{"role": "user", "content": TOO_LONG}], *map(turns, asked[4:8])]
    try:
        told = f"{len(llm.chat(bad, sampling, use_tqdm=False))} answers"
    except Exception as problem:
        told = f"raises {type(problem).__name__}; none of 9 answered"
    return {**measured, "bad row": told, "texts": texts}


def ours(model: str, asked: Sequence[ChatRequest], arguments: argparse.Namespace) -> dict[str, Any]:
    """The project's engine, batches from threads."""
    from operators.models.chat import ChatMessage
    from operators.models.vllm_chat import VllmChat
    from operators.models.vllm_engine import VllmOptions

    chat = VllmChat(
        VllmOptions(
            model=Path(model),
            dtype=arguments.dtype,
            max_model_len=arguments.max_model_len,
            max_num_seqs=arguments.max_num_seqs,
            load_format=arguments.load_format,
            compiled=arguments.compiled,
            cpu_cache_mb=1024,
        )
    )
    chat.complete(asked[:8])
    texts: list[str] = []

    def run() -> None:
        batches = [asked[start : start + arguments.batch] for start in range(0, len(asked), arguments.batch)]
        with ThreadPoolExecutor(arguments.threads) as threads:
            for batch in threads.map(chat.complete, batches):
                texts.extend("" if isinstance(result, RowFailure) else result.text for result in batch)

    measured = _measured(run, len(asked))
    long = ChatRequest(messages=(ChatMessage(role="user", text=TOO_LONG),), max_tokens=arguments.tokens)
    results = chat.complete([*asked[:4], long, *asked[4:8]])
    failed = [place for place, result in enumerate(results) if isinstance(result, RowFailure)]
    chat.close()
    return {**measured, "bad row": f"{9 - len(failed)} of 9 answered, place {failed} failed", "texts": texts}


def ray(model: str, asked: Sequence[ChatRequest], arguments: argparse.Namespace) -> dict[str, Any]:
    """Ray Data's own stages around vLLM."""
    import ray
    from ray.data.llm import build_processor, vLLMEngineProcessorConfig

    def start() -> None:
        """A new cluster: the engine of a run that failed keeps its GPU."""
        ray.shutdown()
        ray.init(address="local", num_cpus=10, num_gpus=1, include_dashboard=False, log_to_driver=False)
        ray.data.DataContext.get_current().enable_progress_bars = False

    start()

    def processor(forgiving: bool) -> Callable[[Any], Any]:
        config = vLLMEngineProcessorConfig(
            model_source=model,
            engine_kwargs=_engine(arguments),
            batch_size=arguments.batch,
            max_concurrent_batches=arguments.threads,
            concurrency=1,
            should_continue_on_error=forgiving,
            runtime_env={"env_vars": _environment()},
            log_engine_metrics=False,
        )
        sampling = {"temperature": 0.0, "max_tokens": arguments.tokens, "seed": 0}
        return build_processor(
            config,
            preprocess=lambda row: {"number": row["number"], "messages": row["messages"], "sampling_params": sampling},
            postprocess=lambda row: {"number": row["number"], "text": row["generated_text"], "done": time.time()},
        )

    rows = [{"number": number, "messages": turns(request)} for number, request in enumerate(asked)]
    blocks = max(1, len(rows) // arguments.batch)
    with _Meter() as meter:
        found = processor(False)(ray.data.from_items(rows, override_num_blocks=blocks)).take_all()
    done = sorted(row["done"] for row in found)
    warm = done[min(arguments.threads * arguments.batch, len(done) - arguments.batch) - 1]
    later = sum(moment > warm for moment in done)
    measured = {
        "rows/s": later / (done[-1] - warm),
        "CPU ms/row": 1000 * (meter.at(done[-1]) - meter.at(warm)) / later,
    }
    texts = {row["number"]: row["text"] for row in found}
    bad = [*rows[:4], {"number": 4, "messages": [{"role": "user", "content": TOO_LONG}]}, *rows[5:9]]
    told = []
    for forgiving in (False, True):
        start()
        name = "should_continue_on_error" if forgiving else "default"
        try:
            found = processor(forgiving)(ray.data.from_items(bad, override_num_blocks=1)).take_all()
            told.append(f"{name}: {sum(bool(row.get('text')) for row in found)} of {len(found)} answered")
        except Exception as problem:
            told.append(f"{name}: raises {type(problem).__name__}; none of 9 answered")
    ray.shutdown()
    return {**measured, "bad row": "; ".join(told), "texts": [texts[number] for number in sorted(texts)]}


def _engine(arguments: argparse.Namespace) -> dict[str, Any]:
    return {
        "dtype": arguments.dtype,
        "max_model_len": arguments.max_model_len,
        "max_num_seqs": arguments.max_num_seqs,
        "load_format": arguments.load_format,
        "enforce_eager": not arguments.compiled,
        "seed": 0,
        "generation_config": "vllm",
        "disable_log_stats": True,
    }


def _environment() -> dict[str, str]:
    return {
        "VLLM_CPU_KVCACHE_SPACE": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_LOGGING_LEVEL": "WARNING",
        "VLLM_WORKER_MULTIPROC_METHOD": "spawn",
        "RAY_AUTH_MODE": "disabled",
        "TOKENIZERS_PARALLELISM": "false",
    }


def _measured(run: Callable[[], None], rows: int) -> dict[str, float]:
    started, used = time.monotonic(), _cpu_seconds()
    run()
    return {
        "rows/s": rows / (time.monotonic() - started),
        "CPU ms/row": 1000 * (_cpu_seconds() - used) / rows,
    }


class _Meter:
    """Samples the CPU time of all processes, to tell it for moments that are known later."""

    def __enter__(self) -> _Meter:
        self._samples = [(time.time(), _cpu_seconds())]
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()
        return self

    def __exit__(self, *problem: object) -> None:
        self._over.set()
        self._thread.join()

    def at(self, moment: float) -> float:
        """CPU seconds at the first sample from `moment` on."""
        return next((used for when, used in self._samples if when >= moment), self._samples[-1][1])

    def _watch(self) -> None:
        while not self._over.wait(0.25):
            self._samples.append((time.time(), _cpu_seconds()))


def _cpu_seconds() -> float:
    """CPU time of this process and all below it."""
    here = psutil.Process()
    total = 0.0
    for process in [here, *here.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="", help="folder of a model; a tiny Llama is made where none is given")
    parser.add_argument("--clips", type=int, default=384)
    parser.add_argument("--tokens", type=int, default=48)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--max-num-seqs", type=int, default=64)
    parser.add_argument("--max-model-len", type=int, default=4096)
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--load-format", default="auto")
    parser.add_argument("--compiled", action="store_true")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--only", choices=WAYS, help="run one way in this process and print its figures as JSON")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Run each way in a process of its own and print the figures."""
    arguments = _parser().parse_args(argv)
    if arguments.only:
        asked = requests(arguments.clips, arguments.tokens)
        way = {"offline": offline, "ours": ours, "ray": ray}[arguments.only]
        print("RESULT " + json.dumps(way(arguments.model, asked, arguments)), flush=True)
        return
    with tempfile.TemporaryDirectory() as folder:
        model = arguments.model or _tiny(Path(folder))
        passed = [*(argv if argv is not None else sys.argv[1:]), "--model", model]
        for number in range(arguments.rounds):
            limit: dict[str, Any] = {}
            for way in WAYS:
                result = _run(way, passed)
                limit = limit or result
                share = result["rows/s"] / limit["rows/s"]
                same = sum(_whole(a) == _whole(b) for a, b in zip(result["texts"], limit["texts"], strict=True))
                print(
                    f"round {number + 1} {way:8} {result['rows/s']:8.2f} rows/s ({share:.2f} of the limit) "
                    f"{result['CPU ms/row']:7.1f} CPU ms/row  {same}/{arguments.clips} texts as offline  | "
                    f"{result['bad row']}",
                    flush=True,
                )


def _whole(text: str) -> str:
    """Without the bytes of an unfinished character at its end, which Ray's detokenizer keeps."""
    return text.rstrip("\ufffd")


def _tiny(folder: Path) -> str:
    from tests.tiny.llama import write_llama

    return str(write_llama(folder / "llama", hidden=128, layers=4, context=4096))


def _run(way: str, passed: list[str]) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.engines", *passed, "--only", way]
    environment = {**os.environ, **_environment()}
    done = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    killer = threading.Timer(TIMEOUT, done.kill)
    killer.start()
    try:
        told, errors = done.communicate()
    finally:
        killer.cancel()
    results = [line.removeprefix("RESULT ") for line in told.splitlines() if line.startswith("RESULT ")]
    if not results:
        raise SystemExit(f"{way} ended with {done.returncode}:\n{errors[-3000:]}")
    return json.loads(results[-1])


if __name__ == "__main__":
    main()
