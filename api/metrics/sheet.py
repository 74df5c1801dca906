"""What one scrape shows, as it is filled in."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

from api.metrics.catalogue import CATALOGUE, Family

Made = GaugeMetricFamily | CounterMetricFamily | HistogramMetricFamily


class Sheet:
    """Figures by metric. A metric that got none is not shown."""

    def __init__(self) -> None:
        self._made: dict[str, Made] = {}

    def put(self, name: str, value: float | None, *labels: object) -> None:
        """Put a figure in; None is not known, and left out. The labels are in the order of the catalogue.

        Raises KeyError for a metric that the catalogue does not have.
        """
        if value is not None:
            made = self._family(name)
            assert not isinstance(made, HistogramMetricFamily)  # noqa: S101  # the catalogue says so
            made.add_metric([str(label) for label in labels], float(value))

    def histogram(self, name: str, buckets: Sequence[tuple[str, float]], total: float, *labels: object) -> None:
        """Put a histogram in: cumulative counts by their upper bounds, the last of which is `+Inf`, and the sum."""
        made = self._family(name)
        assert isinstance(made, HistogramMetricFamily)  # noqa: S101  # the catalogue says so
        made.add_metric([str(label) for label in labels], list(buckets), total)

    def take(self, other: Sheet) -> None:
        """Add what another one has, which must be other metrics."""
        self._made |= other._made

    def families(self) -> Iterable[Metric]:
        """Return the metrics in the order of the catalogue."""
        return [self._made[name] for name in CATALOGUE if name in self._made]

    def _family(self, name: str) -> Made:
        if name not in self._made:
            self._made[name] = _make(CATALOGUE[name])
        return self._made[name]


def _make(family: Family) -> Made:
    kinds = {"gauge": GaugeMetricFamily, "counter": CounterMetricFamily, "histogram": HistogramMetricFamily}
    made: Made = kinds[family.kind](family.name, family.help, labels=family.labels)
    return made
