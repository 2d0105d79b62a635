"""No float in the money path: neither in its code nor in its run."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from decimal import FloatOperation, localcontext
from pathlib import Path
from typing import Any

import pytest
from golden import CASES, call_of

from taximeter.core import cost, money
from taximeter.core.cost import Cost
from taximeter.pricing import PriceBook
from taximeter.pricing.shelf import PriceShelf

SOURCES = Path(__file__).parents[2] / "src" / "taximeter"
PRICING = SOURCES / "pricing"
RESTATING = (
    "reports/repricing.py",
    "reports/differences.py",
    "reports/caching.py",
    "store/events/repricing.py",
    "store/events/cost_lines.py",
    "store/events/clickhouse_restate.py",
    "store/events/duckdb_restate.py",
)
"""Where amounts pass through outside of the price book."""

NO_MONEY = {"catalogue.py"}
"""Looks for names that are alike; amounts do not pass through it."""

MONEY_PATH = sorted(
    path
    for path in (
        *PRICING.rglob("*.py"),
        Path(money.__file__),
        Path(cost.__file__),
        *(SOURCES / name for name in RESTATING),
    )
    if path.name not in NO_MONEY
)

FLOAT_MODULES = {"math", "cmath", "statistics", "random", "numpy"}
MAY_NAME_FLOAT = {
    "price_file.py": {"_amount", "_decimal"},  # where numbers of YAML are read, and refused when they carry noise
    "money.py": {"parse_usd"},  # where they are refused
}
"""The doors at which a float may be seen; behind them there is none."""


def inside(tree: ast.AST, path: tuple[str, ...] = ()) -> Iterator[tuple[ast.AST, tuple[str, ...]]]:
    """Every node with the functions that it is in."""
    for node in ast.iter_child_nodes(tree):
        here = (*path, node.name) if isinstance(node, ast.FunctionDef) else path
        yield node, here
        yield from inside(node, here)


def floats_in(source: str, file_name: str) -> list[str]:
    found = []
    for node, functions in inside(ast.parse(source)):
        where = f"{file_name}:{getattr(node, 'lineno', 0)}"
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            found.append(f"{where}: the constant {node.value!r}")
        allowed = MAY_NAME_FLOAT.get(file_name, set()) & set(functions)
        if isinstance(node, ast.Name) and node.id in ("float", "complex") and not allowed:
            found.append(f"{where}: the name float")
        if isinstance(node, ast.Attribute) and node.attr in ("from_float", "timestamp", "total_seconds"):
            found.append(f"{where}: {node.attr}, which takes or gives floats")
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = [alias.name for alias in node.names] + [getattr(node, "module", None) or ""]
            found += [f"{where}: {name}" for name in names if name.split(".")[0] in FLOAT_MODULES]
    return found


@pytest.mark.parametrize("path", MONEY_PATH, ids=lambda path: path.name)
def test_the_code_of_the_money_path_has_no_float(path: Path) -> None:
    assert floats_in(path.read_text(encoding="utf-8"), path.name) == []


@pytest.mark.parametrize(
    "source",
    [
        "rate = 0.5",
        "rate = float(text)",
        "def price() -> float: ...",
        "import math",
        "from math import floor",
        "Decimal.from_float(x)",
        "seconds = (a - b).total_seconds()",
    ],
)
def test_a_float_would_be_found(source: str) -> None:
    assert floats_in(source, "any.py")


def test_dividing_whole_numbers_makes_no_float_either() -> None:
    """`a / b` of two ints is a float; in the money path only paths are joined with it."""
    for path in MONEY_PATH:
        for node, _ in inside(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
                assert path.name == "shelf.py", f"{path.name}:{node.lineno}"


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_no_float_meets_a_decimal_while_a_call_is_priced(book: PriceBook, case: dict[str, Any]) -> None:
    fresh = PriceBook(book.layers, book.snapshots)
    with localcontext() as context:
        context.traps[FloatOperation] = True
        call = call_of(case)
        assert isinstance(fresh.price(call), Cost)
        fresh.explain(call)
        fresh.cache_saving(call)


def test_no_float_meets_a_decimal_while_the_files_are_read() -> None:
    with localcontext() as context:
        context.traps[FloatOperation] = True
        assert PriceShelf(None).book().layers
