"""The file that a backup is: a zip of the database's copy and a manifest that says what is in it.

It has its name once it is whole and on the disk. Until then it is in a folder of its own beside that name, which
whoever makes the next backup there removes, where its maker was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import tempfile
import threading
import time
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Literal

import msgspec

from jobs.errors import BackupFailed, BackupInvalid

FORMAT = 1
SUFFIX = ".backup"
_WORK = ".queueql-backup-"
_NEW = ".queueql-new-"
_NEW_MAX_S = 3_600
_MANIFEST, _DATA = "manifest.json", "data"
_CHUNK = 1 << 20
_MANIFEST_MAX = 1 << 20
_LEVEL = 1  # SQLite's pages shrink to a third; higher levels take many times as long for little
_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError, NotImplementedError, msgspec.DecodeError)


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What a backup says of itself."""

    format: int = FORMAT
    id: str
    queueql: str
    """Version of QueueQL that made it."""
    dialect: Literal["sqlite", "postgres"]
    migration: str
    """The newest one that the database had."""
    created_ms: int
    """Its jobs are as of this moment, or up to a few seconds later."""
    counts: dict[str, int]
    """Rows by table."""
    size_bytes: int
    """Of the copy, unpacked."""
    sha256: str
    """Of the copy, unpacked."""


@contextmanager
def work_folder(beside: Path) -> Iterator[Path]:
    """Make a folder, for the owner only, beside a file that is to come; it is removed at the end.

    Those that were left behind by processes that were killed are removed first. Raises BackupFailed.
    """
    try:
        beside.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        _remove_left(beside.parent)
        folder, lock = _locked_folder(beside.parent)
    except OSError as error:
        raise BackupFailed(f"Nothing can be written in {beside.parent}: {error.strerror}.") from error
    try:
        with lock:
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _locked_folder(parent: Path) -> tuple[Path, IO[str]]:
    """Make a folder and lock it, before it has the name by which it would be removed. Raises OSError."""
    new = Path(tempfile.mkdtemp(prefix=_NEW, dir=parent))
    lock = (new / "lock").open("a")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        return new.rename(new.with_name(new.name.replace(_NEW, _WORK))), lock
    except BaseException:
        lock.close()
        raise


def _remove_left(parent: Path) -> None:
    """Remove the folders of processes that were killed."""
    for left in parent.glob(f"{_WORK}*"):
        with contextlib.suppress(OSError), (left / "lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left)
    for left in parent.glob(f"{_NEW}*"):  # nobody stays there for longer than a moment
        with contextlib.suppress(OSError):
            if time.time() - left.stat().st_mtime > _NEW_MAX_S:
                shutil.rmtree(left)


def checksum(path: Path, stop: threading.Event) -> str:
    """SHA-256 of a file. Raises BackupFailed, also once `stop` is set, as `pack` and `unpack` do."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            for chunk in _chunks(file, stop):
                digest.update(chunk)
    except OSError as error:
        raise BackupFailed(f"The file {path} cannot be read: {error.strerror}.") from error
    return digest.hexdigest()


def _chunks(file: IO[bytes], stop: threading.Event) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        if stop.is_set():
            raise BackupFailed("It was given up in the middle, at a stop.")
        yield chunk


def pack(data: Path, manifest: Manifest, target: Path, stop: threading.Event) -> int:
    """Write the backup `target` from a copy in a work folder beside it; return its size. Raises BackupFailed."""
    packed = data.parent / "packed"
    method = zipfile.ZIP_DEFLATED if manifest.dialect == "sqlite" else zipfile.ZIP_STORED
    try:
        with os.fdopen(os.open(packed, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            with zipfile.ZipFile(file, "w", method, compresslevel=_LEVEL) as archive:
                archive.writestr(_MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
                with data.open("rb") as source, archive.open(_DATA, "w", force_zip64=True) as packing:
                    for chunk in _chunks(source, stop):
                        packing.write(chunk)
            file.flush()
            os.fsync(file.fileno())
        _name(packed, target)
        _sync(target.parent)
    except FileExistsError:
        raise BackupFailed(f"{target} exists already: a backup replaces no file.") from None
    except OSError as error:
        raise BackupFailed(f"The backup {target} cannot be written: {error.strerror}.") from error
    return target.stat().st_size


def _name(packed: Path, target: Path) -> None:
    """Give the file its name, unless a file has it. Raises FileExistsError, OSError."""
    try:
        os.link(packed, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if target.exists():
            raise FileExistsError(target) from None
        packed.rename(target)


def read(path: Path) -> Manifest:
    """Read what a backup says of itself. Raises BackupInvalid."""
    with _opened(path) as archive:
        return _manifest(path, archive)


def unpack(path: Path, to: Path, stop: threading.Event) -> Manifest:
    """Write the database's copy to `to`, which must not exist, and sync it. Raises BackupInvalid, BackupFailed.

    What comes out is what went in: the checksum says so.
    """
    with _opened(path) as archive:
        manifest = _manifest(path, archive)
        digest, size = hashlib.sha256(), 0
        try:
            with os.fdopen(os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
                with archive.open(_DATA) as data:
                    for chunk in _chunks(data, stop):
                        size += len(chunk)
                        if size > manifest.size_bytes:
                            raise BackupInvalid(f"The backup {path} is damaged: it is longer than its manifest says.")
                        digest.update(chunk)
                        file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise BackupFailed(f"The backup {path} cannot be unpacked to {to}: {error.strerror}.") from error
        if digest.hexdigest() != manifest.sha256:
            raise BackupInvalid(f"The backup {path} is damaged: its checksum is not that of its manifest.")
        return manifest


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except OSError as error:
        raise BackupInvalid(f"The backup {path} cannot be read: {error.strerror}.") from error
    except _BROKEN as error:
        raise BackupInvalid(f"The file {path} is no backup of QueueQL, or it is damaged ({error}).") from error


def _manifest(path: Path, archive: zipfile.ZipFile) -> Manifest:
    if archive.getinfo(_MANIFEST).file_size > _MANIFEST_MAX:
        raise BackupInvalid(f"The file {path} is no backup of QueueQL: its manifest is too large.")
    raw = archive.read(_MANIFEST)
    number = msgspec.json.decode(raw, type=_Format).format
    if number > FORMAT:
        raise BackupInvalid(f"The backup {path} was made by a newer QueueQL: restore it with that version.")
    return msgspec.json.decode(raw, type=Manifest)


class _Format(msgspec.Struct):
    format: int


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
