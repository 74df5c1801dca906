"""Strawberry's own handling of subscriptions, over the same schema and feed: its ASGI view on uvicorn."""

from __future__ import annotations

from typing import Any

import strawberry
import uvicorn
import uvloop
from strawberry.asgi import GraphQL
from strawberry.schema.config import StrawberryConfig
from strawberry.subscriptions import GRAPHQL_TRANSPORT_WS_PROTOCOL

from api.context import Context
from api.schema.base import Mutation, Query, Subscription
from api.schema.enqueue_input import EnqueueOptions
from api.schema.error import USER_ERRORS
from api.schema.event import TYPES
from api.schema.scalars import SCALARS
from jobs.client import Client
from jobs.settings import load
from jobs.viewer import SYSTEM


class View(GraphQL[Context, None]):
    """Strawberry's view; everybody is an admin."""

    def __init__(self, client: Client) -> None:
        schema = strawberry.Schema(
            Query,
            mutation=Mutation,
            subscription=Subscription,
            types=[EnqueueOptions, *USER_ERRORS, *TYPES.values()],
            config=StrawberryConfig(scalar_map=SCALARS),
        )
        super().__init__(schema, subscription_protocols=[GRAPHQL_TRANSPORT_WS_PROTOCOL])
        self._client = client

    async def get_context(self, request: Any, response: Any) -> Context:
        """Return what our resolvers need."""
        return Context(self._client, SYSTEM)


async def main() -> None:
    """Serve until the process is killed."""
    settings = load()
    client = await Client.open(settings)
    config = uvicorn.Config(
        View(client), port=settings.port, loop="none", ws="websockets-sansio", ws_per_message_deflate=False,
        log_config=None, access_log=False, lifespan="off",
    )  # fmt: skip
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    uvloop.run(main())
