"""The commands put together, and the one place where errors become one line and an exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import typer
from typer.exceptions import TyperException

from taximeter import __version__
from taximeter.cli import (
    alerts,
    calc,
    chargeback,
    check,
    demo,
    doctor,
    export,
    forecast,
    import_files,
    keeping,
    keys,
    limits,
    migrate,
    prices,
    reconcile,
    report,
    rules,
    sql,
    tail,
    top,
    up,
    why,
)
from taximeter.cli.console import complain, write
from taximeter.errors import TaximeterError

app: Final = typer.Typer(
    name="taximeter",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback(invoke_without_command=True)
def taximeter(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and end.")] = False,
) -> None:
    """A real-time meter for applications that call large language models."""
    if version:
        write(__version__)
    elif context.invoked_subcommand is None:
        write(context.get_help())


app.command("up")(up.up)
app.command("report")(report.report)
app.command("sql")(sql.sql)
app.command("top")(top.top)
app.command("tail")(tail.tail)
app.command("why")(why.why)
app.command("forecast")(forecast.forecast)
app.command("chargeback")(chargeback.chargeback)
app.command("reconcile")(reconcile.reconcile)
app.command("calc")(calc.calc)
app.command("import")(import_files.import_files)
app.add_typer(keys.app, name="keys")
app.add_typer(limits.app, name="limits")
app.add_typer(prices.app, name="prices")
app.add_typer(alerts.app, name="alerts")
app.add_typer(rules.app, name="rules")
app.command("export")(export.export)
app.command("verify")(keeping.verify)
app.command("forget")(keeping.forget)
app.command("migrate")(migrate.migrate)
app.command("doctor")(doctor.doctor)
app.command("check")(check.check)
app.command("demo")(demo.demo)


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit code; a user's mistake is one line on stderr."""
    try:
        return int(app(args=list(arguments), prog_name="taximeter", standalone_mode=False) or 0)
    except TaximeterError as error:
        complain(str(error))
        return error.exit_code
    except TyperException as error:
        message = error.format_message().replace("Value error, ", "")  # as pydantic begins what is not its own
        complain(f"{message} (see: taximeter --help)")
        return error.exit_code
    except (KeyboardInterrupt, typer.Abort):
        return 130
    except BrokenPipeError:
        return 1
    except OSError as error:
        complain(f"{_in_words(error)} (check the path, its permissions and the space on its disk)")
        return 1


def _in_words(error: OSError) -> str:
    return ": ".join(str(part) for part in (error.filename, error.strerror or error) if part is not None)
