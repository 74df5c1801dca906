"""The commands that speak to an API, as processes, against the started product."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.system.command_line import CommandLine, sentence

UNKNOWN = "01a20000-0000-7000-8000-000000000000"

pytestmark = pytest.mark.timeout(120)


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
