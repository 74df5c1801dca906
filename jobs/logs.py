"""What processes log: one line per event on stderr, for people, or as JSON for machines."""

from __future__ import annotations

import logging
import sys
from types import TracebackType

import orjson
import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

_OURS = ("api", "jobs")
_QUIET = ("asyncio", "aiosqlite", "tortoise", "saq", "uvicorn", "uvicorn.access", "uvicorn.error")
"""Libraries whose warnings matter and whose information does not."""

_REPETITIVE = ("asyncpg.pool",)
"""Those that say the same every few seconds while a server is away."""


def set_up(process: str, *, level: str, json: bool) -> None:
    """Send this process's log, and that of the libraries, to stderr. `process` names it on every line.

    `level` is for what QueueQL logs itself; libraries: from WARNING on, the user's own code: from INFO on.
    """

    def named(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event["process"] = process
        return event

    before: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        named,
        structlog.processors.TimeStamper(fmt="iso" if json else "%H:%M:%S", utc=json),
    ]
    last: list[Processor] = [structlog.stdlib.ProcessorFormatter.remove_processors_meta]
    if json:
        last += [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(serializer=_to_json)]
    else:
        colors = sys.stderr.isatty()
        # The plain traceback: the pretty one shows local variables, and so secrets.
        plain = structlog.dev.plain_traceback
        last.append(structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False, exception_formatter=plain))
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=before, processors=last))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.INFO)
    for name in _OURS:
        logging.getLogger(name).setLevel(level)
    for name in _QUIET:
        library = logging.getLogger(name)
        library.handlers.clear()
        library.propagate = True
        library.setLevel(logging.WARNING)
    for name in _REPETITIVE:
        logging.getLogger(name).filters[:] = [_in_one_line]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *before,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    sys.excepthook = _log_crash


def _in_one_line(record: logging.LogRecord) -> bool:
    """Leave the stack out."""
    if record.exc_info and record.exc_info[1] is not None:
        error = record.exc_info[1]
        record.msg, record.args = f"{record.getMessage()}: {type(error).__name__}: {error}", ()
        record.exc_info = None
    return True


def _to_json(event: EventDict, **_options: object) -> str:
    return orjson.dumps(event, default=str, option=orjson.OPT_NON_STR_KEYS).decode()


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Log what nobody caught, so that it is in the log's own format."""
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("queueql").critical("the process ends: %s", error, exc_info=(kind, error, trace))
