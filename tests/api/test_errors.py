"""What clients get to see of faults."""

from __future__ import annotations

from api.errors import formatted
from jobs.errors import DiskFull, StoreUnavailable


def test_a_full_disk_is_named_and_other_outages_are_not() -> None:
    full, away = formatted(DiskFull("95 MiB on /secret")), formatted(StoreUnavailable("postgres at 10.0.0.1"))
    assert (full["extensions"]["code"], away["extensions"]["code"]) == ("DISK_FULL", "STORE_UNAVAILABLE")
    assert full["message"].startswith("The disk of the database is nearly full")
    assert "secret" not in full["message"]
    assert "postgres" not in away["message"]
