from __future__ import annotations

from collections import Counter

import pytest

from operators.spending import Account, charge, charged_to


def test_charges_go_to_the_innermost_open_account_and_nowhere_without_one():
    outer: Account = Counter()
    inner: Account = Counter()
    charge("tokens_in", 1)
    with charged_to(outer):
        charge("tokens_in", 10)
        with pytest.raises(RuntimeError), charged_to(inner):
            charge("tokens_out", 3)
            raise RuntimeError
        charge("tokens_in", 20)
    charge("tokens_in", 1)
    assert (outer, inner) == ({"tokens_in": 30}, {"tokens_out": 3})
