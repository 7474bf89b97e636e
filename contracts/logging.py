"""One way of logging for every process: structlog, with the standard library's loggers behind it.

Lines go to standard error, so that a command's output stays what it was asked for.
"""

import logging
import sys
from typing import Any, Final, Literal

import structlog

LogFormat = Literal["console", "json"]

QUIET: Final = ("aiokafka", "alembic", "faststream", "uvicorn.access", "asyncio")
"""Loggers of libraries whose ordinary course is of no interest to who runs runfold."""

SHARED: Final[tuple[Any, ...]] = (
    structlog.contextvars.merge_contextvars,
    structlog.stdlib.add_logger_name,
    structlog.stdlib.add_log_level,
    structlog.stdlib.PositionalArgumentsFormatter(),
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.StackInfoRenderer(),
)


def configure(log_format: LogFormat | None = None, *, clients: bool = True) -> None:
    """Send the lines of structlog and of the standard library to standard error.

    `console` is for people, `json` is one object a line; None is `console` on a terminal and
    `json` elsewhere. Without `clients` the Kafka client says nothing: a command's own error line
    says what has to be said. Calling it again replaces what was set up before.
    """
    chosen = log_format or ("console" if sys.stderr.isatty() else "json")
    structlog.configure(
        processors=[*SHARED, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    logging.captureWarnings(capture=True)
    root = logging.getLogger()
    root.handlers = [_handler(chosen)]
    root.setLevel(logging.INFO)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
    if not clients:
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _handler(log_format: LogFormat) -> logging.Handler:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=list(SHARED), processors=_rendering(log_format)
        )
    )
    return handler


def _rendering(log_format: LogFormat) -> list[Any]:
    without_record = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if log_format == "json":
        return [
            without_record,
            structlog.processors.format_exc_info,
            structlog.processors.EventRenamer("message"),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ]
    # The renderer's own tracebacks show local variables, secrets among them.
    renderer = structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )
    return [without_record, renderer]
