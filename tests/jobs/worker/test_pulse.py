"""What a worker process says of itself."""

from __future__ import annotations

import pytest

from jobs.clock import now_ms
from jobs.worker import pulse
from jobs.worker.pulse import Pulse
from jobs.worker.slots import Slots


async def test_a_worker_that_was_full_is_not_missed_when_it_has_room_again(monkeypatch: pytest.MonkeyPatch) -> None:
    time_s = [100.0]
    monkeypatch.setattr(pulse, "monotonic", lambda: time_s[0])
    slots = Slots(1)
    one = Pulse(slots, lambda: ["default"], now_ms)
    time_s[0] += 4
    assert one.unasked_s() == 4
    slots.quiet = True
    time_s[0] += 60
    assert one.unasked_s() == 0
    slots.quiet = False
    time_s[0] += 1
    assert one.unasked_s() == 1


async def test_a_loop_that_owes_an_answer_is_watched_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    time_s = [100.0]
    monkeypatch.setattr(pulse, "monotonic", lambda: time_s[0])
    one = Pulse(Slots(1), lambda: ["default"], now_ms)
    for at_s in (101, 121):
        time_s[0] = at_s
        one.ask()
    assert one.unanswered_s() == 20
    assert (0, "The event loop has not been watched") in one.still()
    time_s[0] += 3
    assert (3, "The event loop has not been watched") in one.still()
