"""The fields of `report.json` and of a price table in words: the tables of `docs/cost.md`.

python -m jobs.report_doc docs/cost.md     rewrites the tables between its marks
python -m jobs.report_doc                  prints them
"""

from __future__ import annotations

from pydantic import BaseModel

from jobs import prices, report_fields
from store import sessions
from store.marked_tables import fill, table, write_or_print

MODELS: dict[str, type[BaseModel]] = {
    "report": report_fields.CostReport,
    "gates": report_fields.Gate,
    "operators": report_fields.OperatorCost,
    "stages": report_fields.StageUse,
    "total": report_fields.Total,
    "reserved": report_fields.Reserved,
    "repeated": report_fields.Repeated,
    "sessions": report_fields.SessionCost,
    "sessions.stages": sessions.StageRecord,
    "sessions.nodes": sessions.NodeRecord,
    "priced": report_fields.Priced,
    "dollars": report_fields.Dollars,
    "prices": prices.Prices,
    "prices.machines": prices.Machine,
    "prices.storage": prices.Storage,
    "prices.endpoints": prices.Endpoint,
}


def tables() -> dict[str, str]:
    """Markdown tables by the name of their place in `docs/cost.md`."""
    return {
        name: table(("field", "meaning"), [(f"`{field}`", info.description or "") for field, info in fields.items()])
        for name, model in MODELS.items()
        if (fields := model.model_fields)
    }


def filled(document: str) -> str:
    """`document` with the tables written anew; see `store.marked_tables.fill`."""
    return fill(document, tables())


def main() -> None:
    write_or_print("python -m jobs.report_doc", "The fields of report.json.", tables())


if __name__ == "__main__":
    main()
