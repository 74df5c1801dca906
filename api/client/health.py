"""`queueql health`: whether the whole system makes progress, and its figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from api.client import document
from api.client.call import call
from api.client.option import AsJson, Token, Url
from jobs.amount import amount
from jobs.errors import ApiFault, CommandError

if TYPE_CHECKING:
    from api.client.link import Link
    from api.client.screen import Screen

EXIT_UNHEALTHY = 23
"""A component makes no progress; the figures were printed as far as they can be read."""

_JOBS = ("waiting", "delayed", "active", "blocked", "completed", "failed", "cancelled", "dead")


def health(url: Url = None, token: Token = None, as_json: AsJson = False) -> None:
    """Show how the whole system is: queues, workers, database, Redis, recorder and processes.

    The first line says what /health says; where that is not well, the exit code is 23.
    """
    call(report, url=url, token=token, as_json=as_json)


async def report(link: Link, screen: Screen) -> int:
    """Print how the system is; return the exit code. Raises CommandError."""
    said = await link.health()
    found: dict[str, Any] = {}
    fault: CommandError | None = None
    try:
        found = (await link.run(document.HEALTH, {}))["systemHealth"]
    except CommandError as error:
        fault, said = error, await link.health()  # what kept the figures back may have begun meanwhile
    is_well = said.get("status") == "healthy"
    if not screen.as_json:
        _print_verdict(screen, said, is_well=is_well)
    if fault and (is_well or not isinstance(fault, ApiFault)):
        raise fault
    if screen.as_json:
        screen.json(
            {"status": "healthy" if is_well else "unhealthy", "components": said.get("components", {}), **found}
        )
    elif found:
        screen.line()
        _print(screen, found)
    if fault:
        screen.say(f"The figures of the system cannot be read: {fault}")
    return 0 if is_well else EXIT_UNHEALTHY


def _print_verdict(screen: Screen, said: dict[str, Any], *, is_well: bool) -> None:
    from api.client.text import safe

    if is_well:
        screen.line(("HEALTHY", "bold green"), ": every component makes progress.")
        return
    wrong = {name: part["detail"] for name, part in said.get("components", {}).items() if not part["ok"]}
    screen.line(("UNHEALTHY", "bold red"), f": {safe(', '.join(wrong) or said.get('detail', ''))}")
    screen.facts(wrong.items())


def _print(screen: Screen, found: dict[str, Any]) -> None:
    from api.client.text import length, size

    _print_queues(screen, found["queues"])
    if workers := found["workers"]:
        screen.heading("Workers")
        screen.facts(
            [
                ("Alive", f"{workers['total']:,}, {workers['active']:,} with jobs, {workers['stuck']:,} stuck"),
                ("Jobs", f"{workers['running']:,} of {workers['slots']:,} at a time"),
                ("Last hour", f"{_many(workers['processedHour'], 'attempt')}, {_count(workers['failedHour'])} failed"),
                ("Average run", length(workers["averageRun"])),
            ]
        )
    if database := found["database"]:
        screen.heading("Database")
        screen.facts(
            [
                ("Kind", database["dialect"]),
                ("Size", size(database["sizeBytes"])),
                ("Free", size(database["freeBytes"])),
                ("Write-ahead log", size(database["walBytes"])),
                ("Connections", _connections(database)),
                ("Pools", _pools(database)),
                (
                    "Last minute",
                    f"{_many(database['queriesMinute'], 'query', 'queries')}, {length(database['averageQuery'])} each",
                ),
                ("Slow queries", _slow(database, found["processes"])),
            ]
        )
    _print_redis(screen, found["redis"])
    if recorder := found["recorder"]:
        screen.heading("Recorder")
        held = "; no jobs are started until it has caught up" if recorder["isHolding"] else ""
        screen.facts(
            [
                ("Behind", f"{_many(recorder['lagEvents'], 'event')}, {length(recorder['lag'])}{held}"),
                ("Stream", f"{_many(recorder['streamEntries'], 'entry', 'entries')}, {size(recorder['streamBytes'])}"),
            ]
        )
    _print_processes(screen, found["processes"])
    if found["errors"]:
        screen.heading("Last hour")
        screen.facts([("Dead jobs", _count(found["errors"]["deadHour"]))])
    if found["faults"]:
        screen.heading("Not known")
        screen.facts([(fault["collector"], fault["reason"]) for fault in found["faults"]])


def _print_queues(screen: Screen, queues: dict[str, Any] | None) -> None:
    from api.client.screen import Column

    if queues is None:
        return
    columns = [Column("QUEUE", folds=True), *(Column(name.upper(), right=True) for name in _JOBS)]
    rows = [(one["name"], *(_count(one["jobs"][name]) for name in _JOBS)) for one in queues["each"]]
    if len(rows) > 1:
        rows.append(("all", *(_count(queues["total"][name]) for name in _JOBS)))
    screen.table(columns, rows, "No queues.")


def _print_redis(screen: Screen, redis: dict[str, Any] | None) -> None:
    from api.client.text import length, size

    screen.heading("Redis")
    if redis is None or not redis["isConnected"]:
        screen.line("It does not answer.")
        return
    disk = "not written" if not redis["isAppendOnly"] else "written" if redis["isAppendOk"] else "WRITES FAIL"
    most = f" of {size(redis['memoryMaxBytes'])}" if redis["memoryMaxBytes"] else ""
    screen.facts(
        [
            ("Version", f"{redis['version']}, up for {length(redis['uptime'])}"),
            ("Memory", size(redis["memoryUsedBytes"]) + most),
            ("Hit rate", "" if redis["hitRate"] is None else f"{redis['hitRate']:.0%}"),
            ("Keys", f"{_count(redis['keys'])}, {_count(redis['evicted'])} evicted"),
            ("Connections", _count(redis["connections"])),
            ("Commands", f"{_count(redis['operationsPerSecond'])} per second"),
            ("Disk", disk),
            ("Policy", redis["policy"]),
        ]
    )


def _print_processes(screen: Screen, processes: dict[str, Any] | None) -> None:
    from api.client.screen import Column
    from api.client.text import length, safe, size

    if processes is None:
        return
    screen.heading("Processes")
    columns = [
        Column("PROCESS"), Column("PID", rank=1), Column("HOST", rank=3, folds=True), Column("CPU", right=True),
        Column("MEMORY", right=True), Column("LAG", rank=2, right=True), Column("CONNECTIONS", rank=4, right=True),
        Column("FAULTS", folds=True),
    ]  # fmt: skip
    rows = [
        (
            one["kind"],
            str(one["pid"]),
            safe(one["host"]),
            "-" if one["cpu"] is None else f"{one['cpu'] * 100:.0f}%",
            size(one["memoryBytes"]),
            length(one["loopLag"]),
            _count(one["pool"] and one["pool"]["size"]),
            safe(" ".join(one["faults"])),
        )
        for one in processes["each"]
    ]
    screen.table(columns, rows, "No process says how it is.")


def _connections(database: dict[str, Any]) -> str:
    if database["connections"] is None:
        return ""
    return f"{database['connections']}, {database['connectionsActive']} busy, {database['connectionsMax']} allowed"


def _pools(database: dict[str, Any]) -> str:
    if database["poolSize"] is None:
        return ""
    return f"{database['poolSize']}, {database['poolActive']} in use, callers that wait: {database['poolWaiting']}"


def _slow(database: dict[str, Any], processes: dict[str, Any] | None) -> str:
    """Those that ended took their counts with them."""
    if database["slowQueries"] is None:
        return ""
    number = sum(one["pool"] is not None for one in processes["each"]) if processes else 0
    return f"{_count(database['slowQueries'])} in the processes that are there ({number}), each since its start"


def _count(value: str | int | None) -> str:
    return "-" if value is None else f"{int(value):,}"


def _many(value: str | int | None, thing: str, things: str = "") -> str:
    return f"- {things or f'{thing}s'}" if value is None else amount(int(value), thing, things)
