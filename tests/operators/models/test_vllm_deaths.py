"""What happens to requests when engines die under them: the rules of `VllmChat`, on engines that die at a word.

A real engine that a request kills needs a broken GPU kernel; the deaths of real ones are in `test_vllm_chat`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from operators.errors import EngineError, ErrorKind, RowFailure
from operators.models import vllm_chat
from operators.models.chat import ChatAnswer, ChatMessage, ChatRequest, ChatResult
from operators.models.vllm_chat import VllmChat
from operators.models.vllm_engine import VllmOptions

DEADLY = "deadly"
OPTIONS = VllmOptions(model=Path("/nowhere"))


class MortalEngine:
    """Answers with the question; a deadly one ends it for everybody who waits."""

    started = 0
    starts_left = 10**9

    def __init__(self, options: VllmOptions) -> None:
        if MortalEngine.starts_left == 0:
            raise EngineError("no memory left")
        MortalEngine.starts_left -= 1
        MortalEngine.started += 1
        self.options, self.dead = options, False

    def complete(self, requests: Sequence[ChatRequest]) -> list[ChatResult | None]:
        results: list[ChatResult | None] = []
        for request in requests:
            time.sleep(0)  # let other threads in
            text = request.messages[0].text
            self.dead = self.dead or text == DEADLY
            results.append(None if self.dead else ChatAnswer(text=text, whole=True))
        return results

    def close(self) -> None:
        self.dead = True


@pytest.fixture
def mortal(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[MortalEngine]]:
    monkeypatch.setattr(vllm_chat, "VllmEngine", MortalEngine)
    monkeypatch.setattr(vllm_chat, "PAUSE", 0.0)
    MortalEngine.started, MortalEngine.starts_left = 0, 10**9
    yield MortalEngine


def asked(*texts: str) -> list[ChatRequest]:
    return [ChatRequest(messages=(ChatMessage(role="user", text=text),), max_tokens=8) for text in texts]


def told(results: Sequence[ChatResult]) -> list[str]:
    return [result.text if isinstance(result, ChatAnswer) else str(result.kind) for result in results]


def test_a_deadly_request_fails_alone_after_three_engines(mortal: type[MortalEngine]):
    chat = VllmChat(OPTIONS)
    assert told(chat.complete(asked("a", "b", DEADLY, "c", "d"))) == ["a", "b", ErrorKind.MODEL, "c", "d"]
    assert mortal.started == 4
    [failure] = [found for found in chat.complete(asked(DEADLY)) if isinstance(found, RowFailure)]
    assert "3 times" in str(failure)
    chat.close()


@settings(max_examples=40, deadline=None)
@given(
    batches=st.lists(st.lists(st.integers(0, 30), min_size=1, max_size=6), min_size=1, max_size=5),
    deadly=st.tuples(st.integers(0, 4), st.integers(0, 5)) | st.none(),
)
def test_others_are_answered_in_their_places_whoever_dies_beside_them(
    batches: list[list[int]], deadly: tuple[int, int] | None
):
    texts = [[f"{number} of {place}" for number in batch] for place, batch in enumerate(batches)]
    if deadly is not None:
        batch = texts[deadly[0] % len(texts)]
        batch[deadly[1] % len(batch)] = DEADLY
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(vllm_chat, "VllmEngine", MortalEngine)
        chat = VllmChat(OPTIONS)
        with ThreadPoolExecutor(len(texts)) as threads:
            found = list(threads.map(lambda batch: told(chat.complete(asked(*batch))), texts))
        chat.close()
    assert found == [[ErrorKind.MODEL if text == DEADLY else text for text in batch] for batch in texts]


def test_engines_that_never_answer_are_given_up(mortal: type[MortalEngine]):
    chat = VllmChat(OPTIONS)
    with pytest.raises(EngineError, match="without an answer"):
        chat.complete(asked(*[DEADLY] * 4))
    assert mortal.started == vllm_chat.BARREN
    chat.close()


def test_an_engine_that_does_not_start_again_is_no_fault_of_a_clip(mortal: type[MortalEngine]):
    chat = VllmChat(OPTIONS)
    mortal.starts_left = 0
    with pytest.raises(EngineError, match="no memory"):
        chat.complete(asked("a", DEADLY))
    mortal.starts_left = 1
    assert told(chat.complete(asked("a"))) == ["a"], "memory is free again"
    chat.close()


def test_one_that_is_asked_alone_waits_until_the_others_are_out():
    turns = vllm_chat._Turns()
    inside: list[str] = []
    entered, leave = threading.Event(), threading.Event()

    def together() -> None:
        with turns.shared():
            inside.append("shared")
            entered.set()
            leave.wait(10)
            inside.append("left")

    def alone() -> None:
        with turns.alone():
            inside.append("alone")

    threads = [threading.Thread(target=together)]
    threads[0].start()
    assert entered.wait(10)
    threads.append(threading.Thread(target=alone))
    threads[1].start()
    time.sleep(0.05)
    assert inside == ["shared"]
    leave.set()
    for thread in threads:
        thread.join(10)
    assert inside == ["shared", "left", "alone"]
