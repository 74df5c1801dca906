"""What commands work with."""

from __future__ import annotations

from dataclasses import dataclass

from jobs.broker import Broker
from jobs.clock import Clock, NewId
from jobs.commands.gate import Gate
from jobs.commands.pusher import Pusher
from jobs.newest import Newest
from jobs.published import Published
from jobs.settings import Settings
from jobs.store import Store


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """The parts of one process that its commands share."""

    settings: Settings
    gate: Gate
    store: Store
    broker: Broker
    published: Published
    newest: Newest
    pusher: Pusher
    clock: Clock
    new_id: NewId
