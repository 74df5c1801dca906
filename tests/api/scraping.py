"""What a monitor reads of an API: the text, and every sample in it."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families as read_text

from tests.api.caller import Caller

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


async def text(caller: Caller, accept: str = "") -> str:
    answer = await caller.request("GET", "/metrics", headers={"accept": accept} if accept else None)
    assert answer.status == 200, answer.body
    return answer.body.decode()


async def scrape(caller: Caller) -> Samples:
    """Every sample; two of one name and labels would be a fault."""
    found: Samples = {}
    for family in read_text(await text(caller)):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found
            found[key] = sample.value
    return found


def value(samples: Samples, name: str, **labels: str) -> float | None:
    return samples.get((f"queueql_{name}", frozenset(labels.items())))
