"""The command line: one file per command, found by name; options -> pipeline -> print or write."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from models.errors import CapacityError

F = TypeVar("F", bound=Callable[..., Any])


class Commands(click.Group):
    """Finds `simulator/cli/<name>.py`, whose `command` is the click command; nothing else is imported for --help."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every sibling file, in name order."""
        from pkgutil import iter_modules

        return sorted(m.name for m in iter_modules(__path__) if not m.name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's own file only."""
        if cmd_name not in self.list_commands(ctx):
            return None
        command: click.Command = importlib.import_module(f"{__name__}.{cmd_name}").command
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="burstline")
@click.option("-v", "--verbose", count=True, help="Log more to stderr.")
def group(verbose: int) -> None:
    """Burstline: how many nodes to build, how many to burst, and the configs that make it so."""
    from simulator import logs

    logs.set_up(verbose)


def json_option(function: F) -> F:
    """The --json switch that every command has."""
    return click.option("--json", "as_json", is_flag=True, help="Print one JSON document on stdout.")(function)


def print_json(document: Any) -> None:
    """One JSON document on stdout, keys in the order given, dates and decimals as text and numbers."""
    from simulator.record import to_json

    click.echo(to_json(document))


DUCKDB_INTERRUPTED = "Query interrupted"
"""What duckdb says, as a RuntimeError, when Ctrl-C arrives during a query: it takes the signal and leaves no KeyboardInterrupt."""


def main() -> None:
    """Run a command; errors that a person can mend are printed without a traceback, with the tree's exit codes."""
    try:
        sys.exit(group.main(standalone_mode=False) or 0)
    except CapacityError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(error.exit_code)
    except click.exceptions.Exit as error:
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        _stopped()
    except RuntimeError as error:
        if str(error) != DUCKDB_INTERRUPTED:
            raise
        _stopped()


def _stopped() -> None:
    click.echo("stopped", err=True)
    sys.exit(130)
