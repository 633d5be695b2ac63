"""Bars, lines and the pace behind them."""

from __future__ import annotations

import io
import re
import threading
import time
from dataclasses import replace

import pytest

from jobs.progress import Bars, Lines, Pace, counts, open_display, span
from pipeline.progress import Progress

RUNNING = Progress(
    phase="running",
    videos_total=1200,
    videos_done=90,
    videos_partial=2,
    videos_failed=8,
    clips_kept=900,
    clips_dropped=90,
    clips_failed=10,
    partitions_total=20,
    partitions_committed=1,
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def no_ci(monkeypatch):
    for name, value in (("CI", None), ("TERM", "xterm"), ("COLUMNS", "200"), ("NO_COLOR", "1")):
        monkeypatch.delenv(name, raising=False)
        if value is not None:
            monkeypatch.setenv(name, value)


def test_pace_counts_from_the_first_running_snapshot_not_from_what_was_resumed():
    now = [100.0]
    pace = Pace(lambda: now[0])
    pace.note(replace(RUNNING, phase="starting"))
    now[0] = 150.0
    pace.note(RUNNING)
    assert (pace.clips_per_second(), pace.videos_per_second(), pace.seconds_left()) == (None, None, None)
    now[0] = 160.0
    pace.note(replace(RUNNING, videos_done=110, clips_kept=950))
    assert pace.clips_per_second() == pytest.approx(5.0)
    assert pace.videos_per_second() == pytest.approx(2.0)
    assert pace.seconds_left() == pytest.approx((1200 - 120) / 2.0)


def test_counts_name_videos_clips_rate_failures_partitions_and_time_left():
    now = [0.0]
    pace = Pace(lambda: now[0])
    pace.note(replace(RUNNING, videos_done=0, clips_kept=0))
    now[0] = 90.0
    pace.note(RUNNING)
    assert ", ".join(counts(RUNNING, pace)) == (
        "100 of 1,200 videos, 1,000 clips, 10 clips/s, failed: 8 videos and 2 in part and 10 clips, "
        "1 of 20 partitions committed, about 18 min 20 s left"
    )


def test_no_failures_and_no_rate_are_not_mentioned():
    calm = Progress(phase="running", videos_total=3, partitions_total=1)
    assert counts(calm, Pace()) == ["0 of 3 videos", "0 clips", "0 of 1 partitions committed"]


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0 s"),
        (59.4, "59 s"),
        (59.6, "1 min 00 s"),
        (125, "2 min 05 s"),
        (7800, "2 h 10 min"),
        (4e6, "1,111 h 06 min"),
    ],
)
def test_spans_in_words(seconds, words):
    assert span(seconds) == words


def test_lines_come_at_once_at_every_interval_and_at_news():
    stream = io.StringIO()
    with open_display(stream, interval=1.0) as display:
        assert stream.getvalue() == "[0 s] starting\n"
        display.update(RUNNING)
        display.update(replace(RUNNING, clips_kept=950))
        assert stream.getvalue().count("running") == 1
        deadline = time.monotonic() + 30
        while stream.getvalue().count("running") < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        display.update(replace(RUNNING, phase="committing", note="partition 3 waits for a slow store"))
    lines = stream.getvalue().splitlines()
    assert lines[-1].endswith("1 of 20 partitions committed, partition 3 waits for a slow store")
    assert "1,050 clips" in lines[2]
    assert all(re.match(r"\[\d+ s\] (starting|running|committing)", line) for line in lines)
    assert not [thread for thread in threading.enumerate() if thread.name == "progress"]


def test_a_terminal_gets_bars_and_everything_else_lines(no_ci, monkeypatch):
    with open_display(Terminal()) as display:
        assert isinstance(display, Bars)
    with open_display(io.StringIO()) as display:
        assert isinstance(display, Lines)
    monkeypatch.setenv("CI", "true")
    with open_display(Terminal()) as display:
        assert isinstance(display, Lines)
    monkeypatch.delenv("CI")
    monkeypatch.setenv("TERM", "dumb")
    with open_display(Terminal()) as display:
        assert isinstance(display, Lines)


def test_bars_show_the_same_counts(no_ci):
    stream = Terminal()
    with open_display(stream) as display:
        display.update(replace(RUNNING, note="[red]markup of a file name[/red]"))
    text = stream.getvalue()
    assert "100 of 1,200 videos · 1,000 clips · failed: 8 videos" in text
    assert "[red]markup of a file name[/red]" in text
    assert "━" in text
    assert text.endswith("\x1b[?25h"), "the cursor is shown again"
