"""What every resolver gets: who asks, the doors, and the loaders of this one operation."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property

import strawberry

from api.loaders import Loaders
from jobs.client import Client
from jobs.viewer import Viewer


@dataclass
class Context:
    """One operation: made anew for each one, also on a WebSocket, so that loaders never serve old data."""

    client: Client
    viewer: Viewer
    mutations: dict[str, str] = field(default_factory=dict)
    """Task: name of its typed mutation in the schema that runs the operation."""

    @cached_property
    def loaders(self) -> Loaders:
        """Batched reads of this operation."""
        return Loaders(self.client, self.viewer)


Info = strawberry.Info[Context, None]
"""What Strawberry hands to a resolver."""
