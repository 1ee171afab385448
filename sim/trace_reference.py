"""The data dictionary of a run's folder as Markdown, from ``sim.trace`` and ``sim.key_figures``."""

from __future__ import annotations

from sim.key_figures import KEY_FIGURES
from sim.trace import ALL_TABLES, Column, Table

_INTRODUCTION = """\
# Tables and key figures

A run's folder holds these tables as Parquet files, one schema each (`sim/trace.py`). Instants and durations
are whole seconds since the scenario's start; powers are means over the row's span, at the bus; energies are
inside the battery. What is *signed* may be negative, all else is not. An empty unit means a count, a name or
a flag; money is in the scenario's currency.

In every step and region the powers balance:

```text
load - unserved + battery + ev_charge - ev_discharge + export
    = pv - pv_curtailed + wind - wind_curtailed + turbine + import + tie
```
"""


def tables_reference() -> str:
    """Page of all tables and their columns."""
    contents = [f"* [{table.name}](#{table.name}): {table.meaning}" for table in ALL_TABLES]
    return "\n".join([_INTRODUCTION, *contents, "", *(_table(table) for table in ALL_TABLES)])


def kpis_reference() -> str:
    """Section of all key figures."""
    rows = [
        f"| `{_placed(figure.name)}` | {_placed(figure.unit)} | {figure.meaning} |" for figure in KEY_FIGURES
    ]
    return "\n".join(
        [
            "## Key figures\n",
            "`kpis.json` is flat, name to number. CUR stands for the scenario's currency, in lower case "
            "within names: `total_cost_cny`.\n",
            "| name | unit | meaning |",
            "|---|---|---|",
            *rows,
            "",
        ]
    )


def _table(table: Table) -> str:
    head = [
        f"## {table.name}\n",
        f"{table.meaning}\n",
        "| column | type | unit | meaning |",
        "|---|---|---|---|",
    ]
    return "\n".join([*head, *(_row(column) for column in table.columns), ""])


def _row(column: Column) -> str:
    """One column's row of a table.

    >>> _row(Column("power_kw", "float64", "kW", "signed: charging positive"))
    '| `power_kw` | float64 | kW | signed: charging positive |'
    """
    kind = f"{column.dtype} or null" if column.nullable else column.dtype
    return f"| `{column.name}` | {kind} | {column.unit} | {column.meaning} |"


def _placed(text: str) -> str:
    return text.replace("{cur}", "CUR")
