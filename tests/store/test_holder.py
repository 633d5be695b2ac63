"""Whether a process is certainly gone."""

from __future__ import annotations

import os
import subprocess
import sys

from store.holder import Holder


def test_this_process_is_here() -> None:
    here = Holder.here()
    assert here.pid == os.getpid()
    assert here.started
    assert not here.is_gone()
    assert Holder.model_validate_json(here.model_dump_json()) == here
    assert str(here.pid) in str(here)


def test_an_ended_process_is_gone() -> None:
    ended = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
    assert Holder.here().model_copy(update={"pid": int(ended.stdout)}).is_gone()


def test_another_process_with_the_same_number_is_not_the_holder() -> None:
    assert Holder.here().model_copy(update={"started": "1"}).is_gone()


def test_other_machines_boots_and_unknown_starts_prove_nothing() -> None:
    nobody = Holder.here().model_copy(update={"pid": 2**22 - 1, "started": "1"})
    assert nobody.is_gone()
    for unsure in ({"host": "far-away"}, {"boot": "another"}, {"boot": ""}, {"started": ""}):
        assert not nobody.model_copy(update=unsure).is_gone()
