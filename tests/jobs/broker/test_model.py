"""Random sequences of everything that can happen to jobs, compared with a model and with the table of transitions."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from tests.jobs.broker.acts import Acts
from tests.redis_server import RedisServer

CALLERS = ["push"] * 6 + ["push_again"] * 2 + ["run_again"] * 3 + ["cancel"] * 3
WORKERS = [
    *["step"] * 14,
    *["start_all"] * 3,
    "start",
    "put_back",
    *["report"] * 3,
    "take",
    "renew",
    "renew",
    "keep",
    "rouse",
]
SERVICES = [
    *["let_time_pass"] * 3,
    *["record"] * 4,
    "forget",
    "let_tombstones_pass",
    "push_unpushed",
    "rescue",
    "bring_requests",
]
FAULTS = [
    *["something_arrives_late"] * 3, "somebody_believes_in_an_older_epoch", "damage", "discard", "let_leases_run_out",
    "replace_worker", "start_a_new_server", "lose_everything", "keep_a_copy", "come_back_with_an_older_copy",
]  # fmt: skip
ACTS = CALLERS + WORKERS + SERVICES + FAULTS


class Jobs(RuleBasedStateMachine):
    """Lets things happen, and compares after each of them."""

    url: str
    acts: Acts

    @initialize(data=st.data(), jobs=st.integers(0, 4))
    def open(self, data: st.DataObject, jobs: int) -> None:
        self.acts = Acts(self.url)
        self.sound = True
        for _ in range(jobs):
            self.act("push", data)

    def act(self, name: str, data: st.DataObject) -> None:
        self.sound = False
        # One draw for all that the act chooses from: how much there is depends on how fast Redis' clock goes.
        self.acts.random = random.Random(data.draw(st.integers(0, 2**32 - 1)))  # noqa: S311  # it can be repeated
        getattr(self.acts, name)()
        self.acts.world.compare()
        self.sound = True

    @rule(
        names=st.lists(st.sampled_from(CALLERS + WORKERS + SERVICES + FAULTS), min_size=4, max_size=8), data=st.data()
    )
    def happen(self, names: list[str], data: st.DataObject) -> None:
        for name in names:
            self.act(name, data)

    def teardown(self) -> None:
        if hasattr(self, "acts"):
            try:
                if self.sound:
                    self.acts.finish_everything()
            finally:
                self.acts.close()


def walk(server: RedisServer, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        type("Machine", (Jobs,), {"url": server.url}),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )


def test_any_sequence_does_what_the_model_does(redis_server: RedisServer) -> None:
    walk(redis_server, 30, 20)


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_many_long_sequences_do_what_the_model_does(redis_server: RedisServer) -> None:
    walk(redis_server, 1_000, 50)
