"""What the two endpoints of the API, HTTP and WebSocket, work with."""

from __future__ import annotations

from dataclasses import dataclass

from api.auth import Authenticator
from api.deadline import Deadline
from api.metrics.traffic import Traffic
from api.persisted import PersistedDocuments
from api.schema.live import LiveSchema
from api.streams import Streams
from jobs.client import Client
from jobs.settings import Settings


@dataclass(frozen=True)
class Parts:
    """Made once per process."""

    client: Client
    settings: Settings
    schema: LiveSchema
    auth: Authenticator
    streams: Streams
    documents: PersistedDocuments
    deadline: Deadline
    traffic: Traffic

    @classmethod
    def of(cls, client: Client, settings: Settings, streams: Streams) -> Parts:
        """Make them. Raises SettingInvalid where the trusted documents cannot be read."""
        return cls(
            client,
            settings,
            LiveSchema(client.queries.task),
            Authenticator(client, settings),
            streams,
            PersistedDocuments.load(settings),
            Deadline(settings.operation_timeout_s),
            Traffic(),
        )
