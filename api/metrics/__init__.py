"""Metrics for Prometheus, made at each scrape from the figures of the moment, so that nothing stale is shown."""
