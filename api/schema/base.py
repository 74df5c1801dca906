"""The schema that every installation has: without the mutations of its tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from functools import cache

import strawberry
from graphql import (
    GraphQLArgument,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    Undefined,
    lexicographic_sort_schema,
    print_schema,
)
from strawberry.schema.config import StrawberryConfig

from api.context import Info
from api.schema.backup import BackupQuery
from api.schema.clean import CleanMutation
from api.schema.describe import describe
from api.schema.enqueue_input import EnqueueOptions
from api.schema.error import USER_ERRORS
from api.schema.event import TYPES
from api.schema.event_feed import EventSubscription
from api.schema.job_mutation import JobMutation
from api.schema.job_query import JobQuery, JobSubscription
from api.schema.log_feed import LogSubscription
from api.schema.node import Node, parse_node_id
from api.schema.quarantine import QuarantineMutation, QuarantineQuery
from api.schema.queue import QueueQuery, QueueSubscription
from api.schema.rescue import RescueMutation
from api.schema.retention import RetentionQuery
from api.schema.retention_mutation import RetentionMutation
from api.schema.scalars import SCALARS
from api.schema.slow_query import SlowQueryMutation, SlowQueryQuery
from api.schema.snapshot import SnapshotQuery, SnapshotSubscription
from api.schema.statistics_query import StatisticsQuery
from api.schema.task import TaskQuery
from api.schema.viewer import ViewerQuery
from api.schema.worker import WorkerQuery, WorkerSubscription
from api.schema.worker_mutation import WorkerMutation
from jobs.errors import InvalidOption, NotFound

_NODES_MAX = 100


async def _find(info: Info, text: str) -> object | None:  # noqa: PLR0911  # one case for each kind
    try:
        kind, key = parse_node_id(text)
    except NotFound:
        return None
    context = info.context
    match kind:
        case "Job":
            return await context.loaders.jobs.load(key)
        case "Queue":
            return await context.client.queries.queue.get(context.viewer, key)
        case "Task":
            return await context.client.queries.task.get(context.viewer, key)
        case "QuarantineRecord":
            return await context.client.queries.quarantine.get(context.viewer, key)
        case "HealthSnapshot":
            return await context.client.queries.health.get(context.viewer, key)
        case "RetentionPolicy":
            what, _, queue = key.partition(":")
            return await context.client.queries.retention.get(context.viewer, what, queue)
        case "Worker":
            return await context.client.queries.worker.get(context.viewer, key)
        case "Attempt":
            job_id, _, place = key.partition(":")
            attempts = (await context.client.queries.job.attempts(context.viewer, [job_id]))[job_id]
            return next((one for one in attempts if f"{one.run}:{one.number}" == place), None)
        case "LogLine":
            job_id, _, number = key.partition(":")
            return await context.client.queries.job.log(context.viewer, job_id, number)
    return None


@strawberry.type
class Query(
    BackupQuery,
    JobQuery,
    QuarantineQuery,
    QueueQuery,
    RetentionQuery,
    SlowQueryQuery,
    SnapshotQuery,
    StatisticsQuery,
    TaskQuery,
    WorkerQuery,
    ViewerQuery,
):
    """Everything that can be read."""

    @strawberry.field(graphql_type=Node | None)
    async def node(self, info: Info, id: strawberry.ID) -> object | None:
        """Any object, by its id; null where it does not exist.

        Args:
            id: The object's id.
        """
        return await _find(info, id)

    @strawberry.field(graphql_type=list[Node | None] | None)
    async def nodes(self, info: Info, ids: list[strawberry.ID]) -> list[object | None]:
        """Many objects, by their ids, in that order; null in the place of one that does not exist.

        Args:
            ids: Ids of the objects, at most 100.
        """
        if len(ids) > _NODES_MAX:
            raise InvalidOption(f"`ids` may have at most {_NODES_MAX} values.", path=("ids",))
        return await _gather(info, ids)


async def _gather(info: Info, ids: Iterable[str]) -> list[object | None]:
    return list(await asyncio.gather(*(_find(info, one) for one in ids)))


@strawberry.type
class Mutation(
    CleanMutation, JobMutation, QuarantineMutation, RescueMutation, RetentionMutation, SlowQueryMutation, WorkerMutation
):
    """Everything that can be changed. A task's own mutations are here too."""


@strawberry.type
class Subscription(
    JobSubscription, EventSubscription, LogSubscription, QueueSubscription, SnapshotSubscription, WorkerSubscription
):
    """Everything that can be followed live."""


@cache
def base_schema() -> GraphQLSchema:
    """Return the schema without user tasks, described; made once per process.

    Strawberry makes the types and their resolvers; operations run on graphql-core itself.
    """
    made = strawberry.Schema(
        Query,
        mutation=Mutation,
        subscription=Subscription,
        types=[EnqueueOptions, *USER_ERRORS, *TYPES.values()],
        config=StrawberryConfig(scalar_map=SCALARS),
    )
    schema: GraphQLSchema = made._schema
    describe(schema)
    _drop_null_defaults(schema)
    return schema


def _drop_null_defaults(schema: GraphQLSchema) -> None:
    """Drop what says nothing: what may be null may be left out."""
    for named in schema.type_map.values():
        values: list[GraphQLArgument | GraphQLInputField] = []
        if isinstance(named, GraphQLInputObjectType):
            values = list(named.fields.values())
        elif isinstance(named, GraphQLObjectType | GraphQLInterfaceType):
            values = [argument for field in named.fields.values() for argument in field.args.values()]
        for value in values:
            if value.default_value is None:
                value.default_value = Undefined


def sdl(schema: GraphQLSchema) -> str:
    """Return a schema in its own language, sorted, so that equal schemas give equal text."""
    return print_schema(lexicographic_sort_schema(schema))
