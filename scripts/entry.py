"""How every script here ends: its commands are run, and a mistake is one sentence and exit status 2."""

import sys

import typer

from transferlib.errors import UserError


def main(app: typer.Typer) -> None:
    """Run the command line of a script."""
    try:
        app()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
