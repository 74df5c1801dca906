"""docker/prometheus and docker/grafana: alerts fire when they should, and all that is asked for is there."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from api.metrics.catalogue import CATALOGUE
from tests import promtool

DOCKER = Path(__file__).parents[1] / "docker"
DASHBOARD: dict[str, Any] = json.loads((DOCKER / "grafana" / "dashboard.json").read_text(encoding="utf-8"))
RULES, TESTS = (DOCKER / "prometheus" / name for name in ("rules.yml", "rules_test.yml"))


@pytest.fixture
def prometheus(tmp_path: Path) -> Path:
    """The folder as a container has it, with a token."""
    folder = shutil.copytree(DOCKER / "prometheus", tmp_path / "prometheus")
    config = folder / "prometheus.yml"
    text = config.read_text(encoding="utf-8")
    (folder / "token").write_text("secret", encoding="utf-8")
    config.write_text(text.replace("/run/secrets/metrics_token", str(folder / "token")), encoding="utf-8")
    return folder


def test_promtool_accepts_the_configuration_and_the_rules(prometheus: Path) -> None:
    said = promtool.check("check", "config", str(prometheus / "prometheus.yml"))
    assert "1 rule files found" in said


def test_every_alert_fires_when_its_test_says_so_and_not_before(prometheus: Path) -> None:
    promtool.check("test", "rules", str(prometheus / "rules_test.yml"))
    alerts = re.findall(r"- alert: (\w+)", RULES.read_text(encoding="utf-8"))
    tests = re.findall(r"- name: (\w+)\n", TESTS.read_text(encoding="utf-8"))
    assert alerts == tests
    assert re.findall(r"- eval_time: .*\n +alertname: (\w+)\n", TESTS.read_text(encoding="utf-8")) == alerts


def test_a_rule_that_changes_makes_its_test_fail(prometheus: Path) -> None:
    rules = prometheus / "rules.yml"
    rules.write_text(rules.read_text(encoding="utf-8").replace("> 10000", "> 20000"), encoding="utf-8")
    with pytest.raises(AssertionError, match="QueueTooLong"):
        promtool.check("test", "rules", str(prometheus / "rules_test.yml"))


def expressions() -> Iterator[str]:
    for panel in DASHBOARD["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"].replace("$__rate_interval", "5m").replace("$queue", ".*")


def test_every_expression_of_the_dashboard_parses(tmp_path: Path) -> None:
    found = list(expressions())
    assert len(found) > 40
    rules = [{"record": f"panel:{number}", "expr": expression} for number, expression in enumerate(found)]
    file = tmp_path / "panels.yml"
    file.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")  # JSON is YAML
    promtool.check("check", "rules", str(file))


def named(text: str) -> set[str]:
    names = set(re.findall(r"queueql_[a-z_]+", text))
    return {name if name in CATALOGUE else re.sub(r"_(bucket|sum|count)$", "", name) for name in names}


def test_every_metric_that_is_asked_for_is_shown() -> None:
    asked = named(" ".join(expressions())) | named(RULES.read_text(encoding="utf-8"))
    assert asked <= CATALOGUE.keys()
    unseen = CATALOGUE.keys() - named(" ".join(expressions()))
    assert unseen <= {
        "queueql_build_info", "queueql_queues_left_out", "queueql_tasks_left_out", "queueql_workers",
        "queueql_backup_every_seconds", "queueql_backup_failing",
        "queueql_redis_up", "queueql_redis_uptime_seconds", "queueql_redis_evicted_total",
        "queueql_database_pool_max", "queueql_database_queries_total", "queueql_database_connections_active",
        "queueql_database_connections_max", "queueql_backup_bytes", "queueql_backup_verified",
    }  # fmt: skip


def test_the_panels_of_the_dashboard_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))
