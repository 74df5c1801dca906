"""A job as functions written for SAQ know it: what they find as `ctx["job"]`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jobs.context import Context


class JobView:
    """The attributes of a `saq.Job` that a running function may use, with SAQ's names and units.

    `queued` and `started` are milliseconds, `scheduled` and `timeout` seconds; `retries` is what
    QueueQL calls max_attempts.
    """

    def __init__(self, context: Context) -> None:
        self._context = context
        spec = context.spec
        self.id = self.key = spec.id
        self.function = spec.task
        self.kwargs = context.args
        self.queue = spec.queue
        self.timeout = spec.timeout_s
        self.retries = spec.max_attempts
        self.attempts = context.failures
        self.scheduled = spec.scheduled_ms // 1_000
        self.queued = spec.created_ms
        self.started = context.started_ms
        self.status = "active"
        self.progress = 0.0
        self.meta: dict[str, Any] = dict(spec.metadata)

    async def update(self, *, progress: float | None = None, meta: dict[str, Any] | None = None) -> None:
        """Report progress, from 0.0 to 1.0; `meta` is kept for the rest of this attempt."""
        if meta is not None:
            self.meta = meta
        if progress is not None:
            self.progress = progress
            await self._context.progress(progress, of=1.0)
