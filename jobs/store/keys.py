"""Keys that keep a job from being accepted twice: uniqueness (while a job has not ended) and idempotency (24 h).

They are rows of the accepting transaction, so that they survive a wiped Redis.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

import msgspec
import orjson

from jobs.errors import IdempotencyMismatch
from jobs.job import FINAL, JobSpec
from jobs.store.bulk import Column, Insert
from jobs.store.database import Row, Transaction, among, array
from jobs.store.rows import args_of

IDEMPOTENCY_MS = 24 * 3600 * 1000

_UPSERT = Insert(
    "job_key",
    (
        Column("hash"),
        Column("kind"),
        Column("scope"),
        Column("job_id"),
        Column("args_hash"),
        Column("expires_ms", "bigint"),
    ),
    "ON CONFLICT (hash) DO UPDATE SET job_id = excluded.job_id, args_hash = excluded.args_hash,"
    " expires_ms = excluded.expires_ms",
)
_LOCK = "SELECT pg_advisory_xact_lock(number) FROM unnest($1::bigint[]) AS number"
_HOLDERS = (
    "SELECT job_key.hash, job_key.job_id, job_key.args_hash, job_key.expires_ms, job.state"
    " FROM job_key LEFT JOIN job ON job.id = job_key.job_id WHERE "
)
_FINAL = {str(state) for state in FINAL}
# The job may have ended long ago when that is recorded: it is not to be removed while a key is made to lead to it.
_KEEP = (
    "SELECT job.id FROM job_key JOIN job ON job.id = job_key.job_id WHERE job_key.hash = ANY($1::text[])"
    " AND job.state <> ALL($2::text[]) FOR KEY SHARE OF job"
)


class Keys(msgspec.Struct, frozen=True):
    """What a job claims; "" where it claims nothing."""

    unique: str
    idempotency: str
    args: str
    """Hash of the arguments, where `idempotency` is set."""

    @property
    def hashes(self) -> list[str]:
        """All that is claimed."""
        return [text for text in (self.unique, self.idempotency) if text]


NO_KEYS = Keys("", "", "")


def keys_of(spec: JobSpec) -> Keys:
    """Hash the keys of a job."""
    if not spec.key and not spec.idempotency_key:
        return NO_KEYS
    unique, idempotency = hashes_of(spec.task, spec.key, spec.owner, spec.idempotency_key)
    if not idempotency:
        return Keys(unique, "", "")
    args = orjson.dumps(args_of(spec), option=orjson.OPT_SORT_KEYS)
    return Keys(unique, idempotency, hashlib.sha256(args).hexdigest())


def hashes_of(task: str, key: str, owner: str, idempotency_key: str) -> tuple[str, str]:
    """Return the hashes of a job's unique and of its idempotency key; "" for a key that it has not."""
    return (
        _hash("unique", task, key) if key else "",
        _hash("idempotency", task, owner, idempotency_key) if idempotency_key else "",
    )


class Claims:
    """The keys of one transaction, locked until it ends. Claims are decided in the order in which they are made."""

    def __init__(self, holders: Sequence[Row], now_ms: int) -> None:
        self._now_ms = now_ms
        self._holders: dict[str, tuple[str, str]] = {
            row["hash"]: (row["job_id"], row["args_hash"]) for row in holders if self._holds(row)
        }
        self._written: dict[str, tuple[str | int | None, ...]] = {}

    @classmethod
    async def lock(cls, transaction: Transaction, keys: Iterable[Keys], now_ms: int) -> Claims:
        """Lock the keys, also those that no row exists for yet, always in the same order."""
        keys = list(keys)
        hashes = {text for one in keys for text in one.hashes}
        if not hashes:
            return cls((), now_ms)
        if transaction.dialect == "postgres":
            numbers = sorted({int.from_bytes(bytes.fromhex(text)[:8], signed=True) for text in hashes})
            await transaction.fetch(_LOCK, (numbers,))
            shared = {one.unique for one in keys if one.unique and one.idempotency}
            if shared:
                await transaction.fetch(_KEEP, (sorted(shared), sorted(_FINAL)))
        where = among(transaction.dialect, "job_key.hash", 1)
        return cls(await transaction.fetch(_HOLDERS + where, (array(transaction.dialect, sorted(hashes)),)), now_ms)

    def claim(self, spec: JobSpec, keys: Keys, released: frozenset[str] = frozenset()) -> str:
        """Claim the keys for the job and return its id, or the id of the job that holds one and stands for it.

        A holder in `released` gives its unique key up. Raises IdempotencyMismatch.
        """
        if keys.idempotency and (known := self._holders.get(keys.idempotency)):
            job_id, args = known
            if args != keys.args:
                raise IdempotencyMismatch(
                    "This idempotency key was used within 24 hours with other arguments.",
                    path=("idempotencyKey",),
                    job_id=job_id,
                )
            return job_id
        job_id = spec.id
        if keys.unique:
            holder = self._holders.get(keys.unique, ("", ""))[0]
            if holder and holder not in released:
                job_id = holder
            else:
                self._hold_unique(spec, keys)
        if keys.idempotency:
            self._hold_idempotency(spec, keys, job_id)
        return job_id

    def take_over(self, spec: JobSpec, keys: Keys) -> None:
        """Claim the keys for a job that another database has accepted. There the holder of its unique key had ended."""
        if keys.unique and self._holders.get(keys.unique, ("", ""))[0] < spec.id:
            self._hold_unique(spec, keys)
        if keys.idempotency and keys.idempotency not in self._holders:
            self._hold_idempotency(spec, keys, spec.id)

    async def write(self, transaction: Transaction) -> None:
        """Write the claims that were won."""
        await _UPSERT.run(transaction, list(self._written.values()))

    def _holds(self, row: Row) -> bool:
        if row["state"] is None:  # the job was removed
            return False
        if row["expires_ms"] is not None:
            return bool(row["expires_ms"] > self._now_ms)
        return row["state"] not in _FINAL

    def _hold_unique(self, spec: JobSpec, keys: Keys) -> None:
        self._hold(keys.unique, spec.id, "", ("unique", spec.task, None))

    def _hold_idempotency(self, spec: JobSpec, keys: Keys, job_id: str) -> None:
        expires_ms = self._now_ms + IDEMPOTENCY_MS
        self._hold(keys.idempotency, job_id, keys.args, ("idempotency", spec.task, expires_ms))

    def _hold(self, key: str, job_id: str, args: str, about: tuple[str, str, int | None]) -> None:
        kind, scope, expires_ms = about
        self._holders[key] = (job_id, args)
        self._written[key] = (key, kind, scope, job_id, args, expires_ms)


def _hash(*parts: str) -> str:
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()
