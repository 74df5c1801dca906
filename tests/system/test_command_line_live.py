"""The commands that go on: waiting, following and watching, over restarts and to the end."""

from __future__ import annotations

import json
import re
import signal

import pytest

from tests.system.command_line import CommandLine, sentence
from tests.system.product import Product
from tests.wait import until

pytestmark = pytest.mark.timeout(120)


def test_a_progress_bar_in_a_terminal(queueql: CommandLine) -> None:
    shown = "\n".join(queueql.show(80, "job", "enqueue", "count", "steps=5", "step_s=0.3", "--wait"))
    assert re.search(r"ACTIVE ━+", shown)
    assert "INFO    step 5" in shown
    assert shown.endswith("\n5")


def test_a_log_is_followed_to_its_end(queueql: CommandLine) -> None:
    job_id = queueql.enqueue("count", "steps=20", "step_s=0.1")
    lines = queueql("job", "logs", job_id, "--follow", "--json").stdout.splitlines()
    assert [json.loads(line)["message"] for line in lines] == [f"step {step}" for step in range(1, 21)]
    plain = queueql("job", "logs", job_id).stdout.splitlines()
    assert len(plain) == 20
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d INFO    step 1", plain[0])
    assert queueql("job", "logs", job_id, "--level", "warning").stdout == ""


def test_events_are_followed_over_the_death_of_the_api(product: Product, queueql: CommandLine) -> None:
    follower = queueql.start("event", "follow", "--task", "count", "--json")
    assert follower.stdout
    assert json.loads(follower.stdout.readline())["__typename"] == "Cursor"
    job_id = queueql.enqueue("count", "steps=100", "step_s=0.1")
    logs = queueql.start("job", "logs", job_id, "--follow", "--json")
    assert logs.stdout
    assert json.loads(logs.stdout.readline())["message"] == "step 1"
    while json.loads(follower.stdout.readline()).get("jobId") != job_id:
        pass
    product.find("queueql api").kill()
    steps = []
    while True:
        event = json.loads(follower.stdout.readline())
        if event.get("jobId") == job_id and event["__typename"] == "JobLogged":
            steps.append(event["message"])
        if event.get("jobId") == job_id and event["__typename"] == "JobCompleted":
            break
    follower.send_signal(signal.SIGINT)
    _, said = follower.communicate(timeout=20)
    assert steps == [f"step {step}" for step in range(1, 101)]
    assert [json.loads(line)["message"] for line in logs.stdout] == steps[1:]
    logs.communicate(timeout=20)
    assert logs.returncode == 0
    assert follower.returncode == 130
    away, back, stopped = said.splitlines()
    assert "is away; trying again until it is back" in away
    assert back == "queueql: The API is back."
    assert stopped == "queueql: Interrupted."


def test_events_are_followed_from_the_cursor_that_is_printed_first(queueql: CommandLine) -> None:
    opening = queueql.start("event", "follow", "--task", "count")
    assert opening.stdout
    cursor = re.fullmatch(r"-- .* --after (\S+) .* --\n", opening.stdout.readline())
    opening.kill()
    opening.communicate(timeout=20)
    job_id = queueql.enqueue("count", "steps=1", "step_s=0")
    assert cursor
    follower = queueql.start("event", "follow", "--task", "count", "--after", cursor[1], "--json")
    assert follower.stdout
    event = json.loads(follower.stdout.readline())
    assert (event["__typename"], event["jobId"]) == ("JobEnqueued", job_id)
    follower.kill()
    follower.communicate(timeout=20)


def test_ctrl_c_while_waiting_leaves_the_job_alone(queueql: CommandLine) -> None:
    waiter = queueql.start("job", "enqueue", "count", "steps=100", "step_s=0.1", "--wait")
    assert waiter.stdout
    job_id = waiter.stdout.readline().split()[0]
    waiter.stdout.readline()
    waiter.send_signal(signal.SIGINT)
    _, said = waiter.communicate(timeout=20)
    assert waiter.returncode == 130
    assert said == f"queueql: Not waiting any more; the job goes on: queueql job watch {job_id}\n"
    assert queueql.json("job", "show", job_id)["state"] == "ACTIVE"
    assert queueql("job", "cancel", job_id).returncode == 0


def test_a_reader_that_goes_away_is_no_fault(queueql: CommandLine) -> None:
    watcher = queueql.start("worker", "watch", "--json")
    assert watcher.stdout
    assert watcher.stderr
    watcher.stdout.readline()
    watcher.stdout.close()
    assert watcher.wait(20) == 141
    assert watcher.stderr.read() == ""
    watcher.stderr.close()


async def test_workers_are_steered_and_watched_to_their_end(queueql: CommandLine) -> None:
    (worker,) = queueql.json("worker", "list")["workers"]
    session = worker["session"]
    assert queueql.json("worker", "update", session, "--concurrency", "7")["wanted"]["concurrency"] == 7
    live = queueql.start("worker", "watch", session, "--json")
    assert live.stdout
    queueql("worker", "quiet", "--all")
    while (seen := json.loads(live.stdout.readline()))["state"] != "QUIET":
        pass
    queueql("worker", "resume", session)
    while (seen := json.loads(live.stdout.readline()))["state"] != "RUNNING":
        pass
    assert seen["concurrency"] == 7
    watcher = queueql.start("worker", "watch", session)
    assert watcher.stdout
    assert session in watcher.stdout.readline()
    queueql("worker", "stop", session)
    shown, said = watcher.communicate(timeout=30)
    assert (watcher.returncode, said) == (0, "")
    assert shown.splitlines()[-1] == "The worker is gone."
    rest, _ = live.communicate(timeout=30)
    assert rest.splitlines()[-1] == "null"
    assert sentence(queueql("worker", "show", session, code=16)) == f'There is no worker "{session}".'
    await until(lambda: queueql.json("worker", "list")["workers"], within_s=20)  # `up` has started another one
