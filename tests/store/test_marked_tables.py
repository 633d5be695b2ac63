from __future__ import annotations

import pyarrow as pa
import pytest

from store.marked_tables import column_table, fill, table

DOCUMENT = "before\n<!-- table one -->\nold\n<!-- end -->\nafter\n"


def test_a_table_is_written_in_its_place_and_nothing_else_changes():
    assert fill(DOCUMENT, {"one": "new\n"}) == "before\n<!-- table one -->\nnew\n<!-- end -->\nafter\n"


@pytest.mark.parametrize("tables", [{}, {"two": ""}, {"one": "", "two": ""}])
def test_places_and_tables_must_match(tables: dict[str, str]):
    with pytest.raises(ValueError, match="without one place each"):
        fill(DOCUMENT, tables)


def test_bars_in_cells_are_escaped():
    assert table(("a", "b"), [("x|y", "z")]) == "| a | b |\n|---|---|\n| x\\|y | z |\n"


def test_columns_tell_their_type_unit_and_meaning():
    metadata = {"unit": "m", "doc": "how far", "source": "MMTrail"}
    field = pa.field("range", pa.list_(pa.list_(pa.float32(), 3)), metadata=metadata)
    lines = column_table([field]).splitlines()
    assert lines[2] == "| `range` | `list<fixed_size_list<float>[3]>` | m | how far | MMTrail |"
