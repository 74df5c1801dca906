"""Counts what happened to jobs by comparing what is recorded of them before and after each event."""

from __future__ import annotations

import copy
from collections import defaultdict

import msgspec

from jobs.event import Due, JobEvent
from jobs.job import FINAL, AttemptState, JobSpec, State
from jobs.rollup import Figures
from jobs.statistics import Span
from jobs.store.fold import Fold, JobRow
from jobs.store.rollup import Key

ENDS = {"FAILED": "failed", "LOST": "lost", "SNOOZED": "snoozed", "RELEASED": "released"}


class Recount:
    """The rows of the rollups as they must be."""

    def __init__(self) -> None:
        self._rows: defaultdict[Key, Figures] = defaultdict(Figures)
        self._jobs: dict[str, JobRow] = {}
        self._places: dict[str, tuple[str, str]] = {}
        self._created_ms: dict[str, int] = {}
        self._asked_ms: dict[tuple[str, int], int] = {}
        self._ready_ms: dict[str, int] = {}
        self._attempts: dict[tuple[str, int, int], tuple[str, int]] = {}

    def accepted(self, spec: JobSpec, run: int, at_ms: int) -> None:
        """Note that the store took in a job, or another run of it."""
        have = self._jobs.get(spec.id)
        self._places[spec.id] = (spec.queue, spec.task)
        self._jobs[spec.id] = JobRow(run=run, recoveries=have.recoveries if have else 0, updated_ms=at_ms)
        self._created_ms[spec.id] = spec.created_ms
        self._asked_ms[spec.id, run] = spec.created_ms if run == 1 else at_ms
        self._ready_ms[spec.id] = min(self._asked_ms[spec.id, run], at_ms)

    def add(self, event: JobEvent) -> None:
        """Count what the event changes."""
        stored = self._jobs.get(event.job)
        fold = Fold({event.job: copy.copy(stored)} if stored else {}, self._places, self._created_ms)
        fold.add(event)
        if stored is None and event.job not in fold.new:
            return
        if stored is None:
            spec = fold.new[event.job]
            self._places[event.job], self._created_ms[event.job] = (spec.queue, spec.task), spec.created_ms
            if fold.row(event.job).run == 1:
                self._asked_ms[event.job, 1] = spec.created_ms
        was, row = stored or JobRow(run=fold.row(event.job).run), fold.row(event.job)
        self._jobs[event.job] = row
        for figures in self._at(event):
            self._count(figures, was, row)
            self._count_attempts(figures, event, fold, was)
        self._attempts |= {
            key: (one.state, self._attempts[key][1] if key in self._attempts else one.started_ms)
            for key, one in fold.attempts.items()
        }
        self._wait_from(event, was, row)

    def rows(self) -> dict[Key, Figures]:
        """Return all rows that are not empty."""
        empty = Figures()
        return {key: one for key, one in self._rows.items() if one != empty}

    def _at(self, event: JobEvent) -> list[Figures]:
        queue, task = self._places[event.job]
        return [
            self._rows[int(span), *place, event.at_ms - event.at_ms % span.ms]
            for span in Span
            for place in ((queue, task), (queue, ""), ("", task), ("", ""))
        ]

    def _count(self, figures: Figures, was: JobRow, row: JobRow) -> None:
        for one, by in ((was, -1), (row, 1)):
            if one.version and one.state not in FINAL:
                name = f"entered_{one.state.lower()}"
                setattr(figures, name, getattr(figures, name) + by)
        figures.accepted += bool(row.version) and (was.version == 0 or was.run < row.run)
        if row.state in FINAL and (was.state not in FINAL or was.run < row.run):
            setattr(figures, row.state.lower(), getattr(figures, row.state.lower()) + 1)

    def _count_attempts(self, figures: Figures, event: JobEvent, fold: Fold, was: JobRow) -> None:
        for key, one in fold.attempts.items():
            known = self._attempts.get(key)
            if known is None:
                figures.started += 1
                if one.state == AttemptState.ACTIVE and event.job in self._ready_ms:
                    figures.wait(event.at_ms - self._ready_ms[event.job])
            if one.state != AttemptState.ACTIVE and (known is None or known[0] == AttemptState.ACTIVE):
                if name := ENDS.get(one.state):
                    setattr(figures, name, getattr(figures, name) + 1)
                if one.cpu_us is not None:
                    figures.cpu_us += one.cpu_us
                    figures.cpu_known += 1
                if known is not None and one.state != AttemptState.LOST:
                    figures.run(event.at_ms - known[1])

    def _wait_from(self, event: JobEvent, was: JobRow, row: JobRow) -> None:
        """Note since when the job can start, for the first time in its run since it was asked for and due."""
        if msgspec.structs.astuple(was) == msgspec.structs.astuple(row):
            return
        if row.state == State.QUEUED:
            due = isinstance(event, Due) and row.due_ms is not None
            ready_ms = min(row.due_ms or 0, event.at_ms) if due else event.at_ms
            asked_ms = self._asked_ms.setdefault((event.job, row.run), event.at_ms)
            if not row.attempts:
                ready_ms = min(ready_ms, max(asked_ms, row.due_ms or 0))
            self._ready_ms[event.job] = ready_ms
        elif row.state in (State.SCHEDULED, State.RETRYING) and row.due_ms is not None:
            self._ready_ms[event.job] = row.due_ms
        else:
            self._ready_ms.pop(event.job, None)
