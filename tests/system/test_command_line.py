"""The commands that speak to an API, as processes, against the started product."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import signal
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.system.product import ROOT, TOKEN, Product
from tests.wait import until

UNKNOWN = "01a20000-0000-7000-8000-000000000000"
ANSI = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
PROGRAM = [sys.executable, "-P", "-m", "queueql"]

pytestmark = pytest.mark.timeout(120)


class CommandLine:
    """Runs `queueql`, signed in at the product unless options say otherwise."""

    def __init__(self, product: Product) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("QUEUEQL_")}
        self.environ = {**kept, "QUEUEQL_URL": product.url, "QUEUEQL_TOKEN": TOKEN, "TZ": "UTC"}

    def __call__(self, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        """Run a command and check its exit code."""
        done = subprocess.run(
            [*PROGRAM, *arguments],
            cwd=ROOT, env=self.environ, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback (most recent" not in done.stderr
        return done

    def json(self, *arguments: str, code: int = 0) -> Any:
        """Run a command with --json and return its document."""
        (line,) = self(*arguments, "--json", code=code).stdout.splitlines()
        return json.loads(line)

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that goes on."""
        return subprocess.Popen(
            [*PROGRAM, *arguments],
            cwd=ROOT, env=self.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip

    def enqueue(self, task: str, *arguments: str) -> str:
        """Enqueue a job and return its id."""
        job_id: str = self.json("job", "enqueue", task, *arguments)["job"]["id"]
        return job_id

    def show(self, columns: int, *arguments: str) -> list[str]:
        """Run a command in a terminal and return the lines it shows."""
        pid, terminal = pty.fork()
        if pid == 0:
            os.execve(PROGRAM[0], [*PROGRAM, *arguments], {**self.environ, "TERM": "xterm-256color"})  # noqa: S606  # no shell
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        shown = b""
        try:
            while part := os.read(terminal, 65_536):
                shown += part
        except OSError:  # the other end has closed
            pass
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
        assert status == 0, shown.decode()
        return [
            line.rstrip() for line in ANSI.sub("", shown.decode()).replace("\r\n", "\n").split("\n") if line.strip()
        ]


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    (line,) = done.stderr.splitlines()
    assert line.startswith("queueql: ")
    return line.removeprefix("queueql: ")


@pytest.fixture(scope="module")
def product(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Product]:
    with Product(tmp_path_factory.mktemp("p"), tasks="tests.system.shop_tasks") as product:
        yield product


@pytest.fixture(scope="module")
def queueql(product: Product) -> CommandLine:
    return CommandLine(product)


def test_a_job_that_is_waited_for(queueql: CommandLine) -> None:
    done = queueql("job", "enqueue", "send_mail", "to=12345", "copies=2", "--tag", "a=b", "--wait")
    job_id = done.stdout.split()[0]
    lines = done.stdout.splitlines()
    assert lines[-1] == '"sent to 12345"'
    assert lines[-2].startswith(f"COMPLETED {job_id}  ")
    assert any(line.endswith('INFO    sent  to="12345"  copies=2') for line in lines)
    job = queueql.json("job", "show", job_id)
    assert (job["args"], job["tags"], job["state"]) == ({"to": "12345", "copies": 2}, ["a=b"], "COMPLETED")
    assert [one["state"] for one in job["attempts"]] == ["COMPLETED"]
    assert [one["message"] for one in job["logs"]] == ["sent"]


def test_the_exit_code_tells_how_a_job_ended(queueql: CommandLine) -> None:
    assert queueql.json("job", "enqueue", "send_mail", "to=a", "--wait")["job"]["result"] == "sent to a"
    accepted = queueql.json("job", "enqueue", "fail", "--wait", code=20)
    assert (accepted["job"]["state"], accepted["isDuplicate"]) == ("DEAD", False)
    watched = queueql("job", "watch", accepted["job"]["id"], "--json", code=20)
    assert [json.loads(line)["reason"] for line in watched.stdout.splitlines()] == ["ATTEMPTS_EXHAUSTED"]
    late = queueql.enqueue("send_mail", "to=b", "--delay", "1h")
    assert queueql("job", "cancel", late).stdout == f"{late}  CANCELLED\n"
    queueql("job", "watch", late, code=21)


def test_what_a_job_says_cannot_steer_the_terminal(queueql: CommandLine) -> None:
    done = queueql("job", "enqueue", "fail", "--wait", code=20)
    shown = done.stdout + queueql("job", "show", done.stdout.split()[0]).stdout + queueql("job", "list").stdout
    assert "\x1b" not in shown
    assert "RuntimeError: It \\x1b[31mfailed" in shown


def test_retry_and_cancel_take_many_and_go_on_behind_a_refusal(queueql: CommandLine) -> None:
    dead = queueql.json("job", "enqueue", "fail", "--wait", code=20)["job"]["id"]
    late = queueql.enqueue("send_mail", "to=b", "--delay", "1h")
    done = queueql("job", "cancel", UNKNOWN, dead, late, code=16)
    assert done.stdout == f"{late}  CANCELLED\n"
    assert done.stderr.splitlines()[0] == f'queueql: There is no job "{UNKNOWN}".'
    results = queueql.json("job", "retry", late, UNKNOWN, code=16)["jobs"]
    assert [
        (one["id"], one["job"] and one["job"]["run"], one["error"] and one["error"]["code"]) for one in results
    ] == [
        (late, 2, None),
        (UNKNOWN, None, "NOT_FOUND"),
    ]


def test_a_list_is_filtered_by_options_and_by_text_and_goes_over_pages(queueql: CommandLine) -> None:
    first = queueql.enqueue("send_mail", "to=x", "--delay", "1h", "--owner", "ada", "--tag", "paged")
    batch = [
        queueql.start("job", "enqueue", "count", "steps=1", "--owner", "ada", "--wait", "--json") for _ in range(2)
    ]
    for process in batch:
        process.communicate(timeout=60)
    found = queueql.json("job", "list", "--owner", "ada", "--oldest-first", "--limit", "2")
    assert found["jobs"][0]["id"] == first
    assert (len(found["jobs"]), found["totalCount"], found["hasNextPage"]) == (
        2,
        {"value": 3, "precision": "EXACT"},
        True,
    )
    by_text = queueql.json("job", "list", "owner:ada", "state:scheduled", "--since", "1h", "--task", "send_mail")
    assert [job["id"] for job in by_text["jobs"]] == [first]
    assert queueql("job", "list", "--owner", "nobody").stdout == ""
    assert "at character 7" in sentence(queueql("job", "list", "state:daed", code=15))


def test_tables_fit_a_terminal_of_80_columns_with_ids_in_full(queueql: CommandLine) -> None:
    job_id = queueql.json("job", "enqueue", "fail", "--wait", code=20)["job"]["id"]
    worker = queueql.json("worker", "list")["workers"][0]["session"]
    for arguments, needed in (
        (("job", "list"), job_id),
        (("job", "show", job_id), "Attempts"),
        (("worker", "list"), worker),
        (("queue", "show", "mail"), worker),
        (("retention", "list"), "ROLLUP_MINUTE"),
        (("task", "show", "send_mail"), "queueql job enqueue send_mail to=... --wait"),
    ):
        lines = queueql.show(80, *arguments)
        assert any(needed in line for line in lines), lines
        assert max(len(line) for line in lines) <= 80, lines


def test_what_is_kept_is_listed_tried_set_and_cleaned(queueql: CommandLine) -> None:
    queueql("job", "enqueue", "send_mail", "to=kept", "--wait")
    shipped = {one["kind"]: one for one in queueql.json("retention", "list")["policies"]}
    assert (shipped["DEAD"]["keepFor"], shipped["DEAD"]["isShipped"]) == ("PT2160H", True)
    given = ("completed", "--queue", "mail", "--keep", "30d", "--count", "1000", "--every", "2h")
    own = queueql.json("retention", "set", *given)
    assert (own["queue"], own["keepFor"], own["keepCount"], own["every"]) == ("mail", "PT720H", 1000, "PT2H")
    assert "30 d" in queueql("retention", "list").stdout
    assert queueql.json("retention", "preview", "COMPLETED", "--keep", "1h")["count"] == {
        "value": 0, "precision": "EXACT",
    }  # fmt: skip
    tried = queueql("retention", "preview", "COMPLETED", "--count", "0")
    assert tried.stdout == "Would be removed: 0\n"
    assert "stay for now" in tried.stderr  # the job that has just ended
    assert queueql.json("retention", "remove", "COMPLETED", "--queue", "mail")["queue"] is None
    queueql("retention", "remove", "COMPLETED", "--queue", "mail", code=16)
    assert "kept by age" in sentence(queueql("retention", "set", "LOG", "--count", "5", code=15))
    assert queueql("job", "clean", "--state", "completed", "--state", "dead").stdout == "0 jobs were removed.\n"
    assert "600 seconds" in sentence(queueql("job", "clean", "--state", "DEAD", "--older-than", "1m", code=15))


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


def test_the_figures_of_the_whole_system(queueql: CommandLine) -> None:
    queueql("job", "enqueue", "send_mail", "to=a", "--wait")
    shown = queueql("health").stdout
    assert shown.startswith("HEALTHY: ")
    for heading in ("QUEUE", "Workers", "Database", "Redis", "Recorder", "Processes"):
        assert f"\n{heading}" in f"\n{shown}"
    assert "Not known" not in shown
    found = queueql.json("health")
    assert found["faults"] == []
    assert found["redis"]["isConnected"]
    assert {one["kind"] for one in found["processes"]["each"]} == {"API", "SERVICES", "WORKER"}
    assert int(found["queues"]["total"]["completed"]) > 0


def test_what_happened_lately(queueql: CommandLine) -> None:
    queueql("job", "enqueue", "send_mail", "to=a", "--wait")
    found = queueql.json("stats", "--window", "2h", "--by", "both")
    assert int(found["total"]["completed"]) > 0
    assert "send_mail" in {group["task"] for group in found["groups"]}
    shown = queueql("stats", "--task", "send_mail").stdout
    assert "Each" in shown
    assert "send_mail" in shown
    assert "SUCCESS" in shown


def test_nothing_is_stuck(queueql: CommandLine) -> None:
    assert queueql.json("job", "rescue", "--within", "5s")["isComplete"]
    assert sentence(queueql("job", "rescue")) == "No job was stuck."


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (
            ("job", "list", "--url", "http://127.0.0.1:1"),
            13,
            "No API answers at http://127.0.0.1:1 (Connection refused)",
        ),
        (("job", "list", "--token", "nonsense"), 14, "does not accept the token from --token"),
        (("event", "follow", "--token", "nonsense"), 14, "does not accept the token"),
        (("job", "show", UNKNOWN), 16, f'There is no job "{UNKNOWN}".'),
        (("queue", "show", "nix"), 16, 'There is no queue "nix".'),
        (("job", "enqueue", "nix"), 15, 'No worker has published a task "nix".'),
        (("job", "enqueue", "send_mail", "too=a"), 15, "args.too does not exist"),
        (("event", "follow", "--after", "nonsense"), 15, "cursor"),
    ],
)
def test_a_fault_is_one_sentence_and_an_exit_code(
    arguments: tuple[str, ...], code: int, said: str, queueql: CommandLine
) -> None:
    done = queueql(*arguments, code=code)
    assert said in sentence(done)
    assert done.stdout == ""


def test_what_answers_is_no_queueql(queueql: CommandLine, folder: Path) -> None:
    other = subprocess.Popen(
        [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1", "--directory", str(folder)],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    try:
        assert other.stdout
        port = re.search(r"port (\d+)", other.stdout.readline())
        assert port
        for arguments in (("job", "list"), ("event", "follow")):
            done = queueql(*arguments, "--url", f"http://127.0.0.1:{port[1]}", code=17)
            assert "is no QueueQL API" in sentence(done)
    finally:
        other.kill()
        other.communicate()
