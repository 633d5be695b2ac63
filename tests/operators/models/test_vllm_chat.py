"""The real vLLM engine, fed by several threads: every answer belongs to its request, whatever fails beside it."""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import psutil
import pytest

from operators.errors import EngineError, ErrorKind, RowFailure
from operators.models.chat import ChatAnswer, ChatMessage, ChatRequest, ChatResult, Picture
from operators.models.vllm_chat import VllmChat

CLIPS = 48
TOKENS = 12
SCHEMA = {
    "type": "object",
    "properties": {"seen": {"type": "string", "maxLength": 12}, "count": {"enum": ["one", "two"]}},
    "required": ["seen", "count"],
    "additionalProperties": False,
}


def request(text: str, tokens: int = TOKENS, images: tuple[Picture, ...] = (), **beside: object) -> ChatRequest:
    messages = (
        ChatMessage(role="system", text="Describe the clip."),
        ChatMessage(role="user", text=text, images=images),
    )
    return ChatRequest(messages=messages, max_tokens=tokens, **beside)  # type: ignore[arg-type]


def marked(number: int) -> ChatRequest:
    """A request that no other has, of a length of its own."""
    return request(f"clip {number * 7919 % 10007} " + "and on " * (number % 23), tokens=TOKENS + number % 5)


def texts(results: Sequence[ChatResult]) -> list[str | None]:
    return [result.text if isinstance(result, ChatAnswer) else None for result in results]


TOO_LONG = request("a word too many " * 600)
BLIND = request("look", images=(np.zeros((9, 16, 3), np.uint8),))  # at a model that takes no pictures


@pytest.fixture(scope="module")
def alone(llama_chat: VllmChat) -> list[str | None]:
    """What each clip is answered when nothing else is asked."""
    found = [texts(llama_chat.complete([marked(number)]))[0] for number in range(CLIPS)]
    assert None not in found
    assert len(set(found)) > 0.9 * CLIPS, "answers must differ, or a mix-up could not be seen"
    return found


def test_a_batch_is_answered_as_each_clip_alone(llama_chat: VllmChat, alone: list[str | None]):
    order = list(range(CLIPS))
    random.Random(3).shuffle(order)
    together = texts(llama_chat.complete([marked(number) for number in order]))
    assert together == [alone[number] for number in order]


def test_no_answer_lands_on_another_clip_when_threads_and_failures_mix(llama_chat: VllmChat, alone: list[str | None]):
    def batch(seed: int) -> None:
        chosen = random.Random(seed).choices(range(CLIPS), k=24)
        asked: list[ChatRequest] = [marked(number) for number in chosen]
        expected: list[str | None] = [alone[number] for number in chosen]
        for place, poison in ((5, TOO_LONG), (11, BLIND), (17, TOO_LONG)):
            asked[place], expected[place] = poison, None
        results = llama_chat.complete(asked)
        assert texts(results) == expected
        kinds = {place: result.kind for place, result in enumerate(results) if isinstance(result, RowFailure)}
        assert kinds == dict.fromkeys((5, 11, 17), ErrorKind.REFUSED)

    with ThreadPoolExecutor(6) as threads:
        for done in [threads.submit(batch, seed) for seed in range(12)]:
            done.result(timeout=120)


def test_a_prompt_over_the_model_length_says_so(llama_chat: VllmChat):
    [result] = llama_chat.complete([TOO_LONG])
    assert isinstance(result, RowFailure)
    assert "maximum context length" in str(result)


def test_answers_fit_their_schema_whatever_the_weights(llama_chat: VllmChat):
    for result in llama_chat.complete([request(f"clip {number}", 64, schema=SCHEMA) for number in range(6)]):
        assert isinstance(result, ChatAnswer)
        assert result.whole
        found = json.loads(result.text, strict=False)  # guided decoding lets control characters pass
        assert set(found) == {"seen", "count"}
        assert len(found["seen"].encode()) <= 9 * 12, "a character may be three that stand for broken bytes"
        assert found["count"] in ("one", "two")


def test_an_answer_that_is_cut_off_is_marked(llama_chat: VllmChat):
    [result] = llama_chat.complete([request("clip", 3, schema=SCHEMA)])
    assert isinstance(result, ChatAnswer)
    assert not result.whole
    assert result.tokens_out == 3
    [longer] = llama_chat.complete([request("clip clip", 3, schema=SCHEMA)])
    assert isinstance(longer, ChatAnswer)
    assert longer.tokens_in > result.tokens_in > 3


def test_nothing_asked_is_nothing_answered(llama_chat: VllmChat):
    assert llama_chat.complete([]) == []


def test_a_killed_engine_is_replaced_and_no_answer_is_lost(llama_chat: VllmChat, alone: list[str | None]):
    asked = [replace(marked(number), max_tokens=400) for number in range(CLIPS)]
    expected = texts(llama_chat.complete(asked))
    assert [text and text[:4] for text in expected] == [text and text[:4] for text in alone]
    engine = llama_chat.engine
    victims = engine.processes()

    def kill() -> None:
        time.sleep(0.3)
        for process in victims:
            os.kill(process, signal.SIGKILL)

    killer = threading.Thread(target=kill)
    killer.start()
    with ThreadPoolExecutor(2) as threads:
        halves = [threads.submit(llama_chat.complete, half) for half in (asked[: CLIPS // 2], asked[CLIPS // 2 :])]
        found = [text for half in halves for text in texts(half.result(timeout=300))]
    killer.join()
    assert found == expected
    assert llama_chat.engine is not engine
    assert not any(psutil.pid_exists(process) for process in victims)


def test_a_silent_engine_counts_as_dead_after_its_time(llama_chat: VllmChat, alone: list[str | None]):
    engine = llama_chat.engine
    engine.options = replace(engine.options, patience=2.0)
    for process in engine.processes():
        os.kill(process, signal.SIGSTOP)
    started = time.monotonic()
    assert texts(llama_chat.complete([marked(1), marked(2)])) == alone[1:3]
    assert time.monotonic() - started > 2.0
    assert llama_chat.engine is not engine


def test_closing_ends_the_processes_and_later_requests(llama_chat: VllmChat):
    tree = [child for process in llama_chat.engine.processes() for child in _family(process)]
    assert tree
    llama_chat.close()
    assert psutil.wait_procs(tree, timeout=60)[1] == []
    with pytest.raises(EngineError, match="closed"):
        llama_chat.complete([marked(1)])


def _family(process: int) -> list[psutil.Process]:
    return [psutil.Process(process), *psutil.Process(process).children(recursive=True)]
