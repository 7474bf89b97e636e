"""The command `runfold`: what each command is told, and how what goes wrong is said.

What a command does is imported when it is called, so that `runfold --help` is quick.
"""

import os
import sys
from typing import Final

import typer
from typer._click.exceptions import NoArgsIsHelpError, UsageError

from contracts.errors import RunfoldError
from projector.commands import (
    dead_letters,
    export,
    generations,
    history,
    rebuild,
    repair,
    servers,
    setup,
    views,
)

FAILURE: Final = 1
USAGE: Final = 2
INTERRUPTED: Final = 130

app = typer.Typer(
    name="runfold",
    help="Folds the event stream of an agent platform into the views its operators read.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for part in (servers, setup, history, export, views, rebuild, repair):
    app.add_typer(part.app)
app.add_typer(generations.app, name="generations")
app.add_typer(dead_letters.app, name="dead-letters")


def main() -> None:
    """Run the command; what a person did wrong is one line on standard error.

    Exit status 0: done. 1: could not be done. 2: wrong usage or setting. 130: interrupted.
    """
    try:
        sys.exit(app(standalone_mode=False))
    except NoArgsIsHelpError as error:
        error.show()
        sys.exit(USAGE)
    except UsageError as error:
        # typer's own way of saying it is a box of several lines
        _say(f"{error.format_message()} See `{_command(error)} --help`")
        sys.exit(USAGE)
    except RunfoldError as error:
        _say(str(error))
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        # Nobody reads on; Python's own flush at exit would complain of it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(FAILURE)


def _command(error: UsageError) -> str:
    return error.ctx.command_path if error.ctx is not None else "runfold"


def _say(message: str) -> None:
    sys.stderr.write(f"runfold: {' '.join(message.split())}\n")


if __name__ == "__main__":
    main()
