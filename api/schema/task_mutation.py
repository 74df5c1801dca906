"""One mutation for each published task, with input types of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from graphql import (
    GraphQLArgument,
    GraphQLDefaultInput,
    GraphQLField,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLNamedType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    is_required_input_field,
)

from api.context import Context
from api.schema.args_input import ArgsInput, plain, renamed
from api.schema.enqueue_input import EnqueueOptions, input_path
from api.schema.job_mutation import JobEnqueuePayload, enqueue
from api.schema.names import NameClash, camel, pascal
from api.schema.scalars import FOR_TASKS
from jobs.errors import RequestError
from jobs.task import TaskDefinition

_OPTIONS = "EnqueueOptions"


@dataclass(frozen=True)
class TaskMutation:
    """The mutation of one task and the types that only it has."""

    task: str
    name: str
    field: GraphQLField
    types: frozenset[str]


@dataclass(frozen=True)
class TaskMutations:
    """The mutations of all tasks. A task whose names would not be clear has none: then nobody can hit the wrong one."""

    mutations: Sequence[TaskMutation]
    clashes: Sequence[NameClash]

    @classmethod
    def of(cls, tasks: Sequence[TaskDefinition], schema: GraphQLSchema) -> TaskMutations:
        """Make the mutations that go into a schema beside its own."""
        made: list[TaskMutation] = []
        clashes: list[NameClash] = []
        for task in tasks:
            try:
                made.append(_mutation(task, schema))
            except NameClash as clash:
                clashes.append(NameClash(f"The task {task.name} gets no mutation of its own: {clash}."))
        base = schema.mutation_type.fields if schema.mutation_type else {}
        names = Counter([*base, *(one.name for one in made)])
        types = Counter([*FOR_TASKS, *schema.type_map, *(name for one in made for name in one.types)])
        clear: list[TaskMutation] = []
        for one in made:
            taken = [name for name in (one.name, *sorted(one.types)) if names[name] > 1 or types[name] > 1]
            if taken:
                clashes.append(_clash(one, taken[0], made))
            else:
                clear.append(one)
        return cls(clear, clashes)


def extend(schema: GraphQLSchema, mutations: Sequence[TaskMutation]) -> GraphQLSchema:
    """Return the schema with more mutations. Its types are shared, so this costs little."""
    root = schema.mutation_type
    if root is None or not mutations:
        return schema
    kwargs = root.to_kwargs()
    kwargs["fields"] = {**root.fields, **{one.name: one.field for one in mutations}}
    parts = schema.to_kwargs()
    parts["mutation"] = GraphQLObjectType(**kwargs)
    parts["types"] = tuple(one for one in parts["types"] or () if one is not root)
    return GraphQLSchema(**parts)


def _clash(one: TaskMutation, name: str, made: Sequence[TaskMutation]) -> NameClash:
    others = [other.task for other in made if other is not one and (name == other.name or name in other.types)]
    whose = f"the task {others[0]} has it too" if others else "QueueQL itself has it"
    return NameClash(f"The task {one.task} gets no mutation of its own: it would need the name {name}, and {whose}.")


def _mutation(task: TaskDefinition, schema: GraphQLSchema) -> TaskMutation:
    inputs = ArgsInput(task.name, task.args_schema, {**FOR_TASKS, **schema.type_map})
    name = f"{pascal(task.name)}EnqueueInput"
    if name in inputs.types:
        raise NameClash(f"a type in its arguments would be called {name}, as the input of its mutation is")
    fields: dict[str, GraphQLInputField] = {}
    if inputs.args is not None:
        fields["args"] = _args_field(task.name, inputs.args)
    options: Any = schema.type_map[_OPTIONS]
    fields["options"] = GraphQLInputField(options, description="How the job is run, where it differs from the task.")
    made = GraphQLInputObjectType(name, fields, description=f"A job of the task {task.name}.")
    required = any(is_required_input_field(field) for field in fields.values())
    argument = GraphQLArgument(
        GraphQLNonNull(made) if required else made, description="Arguments and options of the job."
    )
    payload: Any = schema.type_map["JobEnqueuePayload"]
    described = task.description.strip() or f"Enqueue a job of the task {task.name}."
    field = GraphQLField(
        payload, {"input": argument}, _resolver(task.name, inputs.args, options), description=described
    )
    return TaskMutation(task.name, f"{camel(task.name)}Enqueue", field, frozenset([name, *inputs.types]))


def _args_field(task: str, args: GraphQLInputType) -> GraphQLInputField:
    described = f"Arguments of the task {task}."
    if not isinstance(args, GraphQLInputObjectType):
        return GraphQLInputField(args, description=described)
    if any(is_required_input_field(field) for field in args.fields.values()):
        return GraphQLInputField(GraphQLNonNull(args), description=described)
    return GraphQLInputField(GraphQLNonNull(args), default=GraphQLDefaultInput(value={}), description=described)


def _resolver(task: str, args: GraphQLInputType | None, options: GraphQLNamedType) -> Any:
    def told(error: RequestError) -> tuple[str, list[str]]:
        if error.path[:1] == ("args",):
            return renamed(args, error)
        path = input_path(error)
        return str(error), ["options", *path] if path and path[0] in options.fields else path  # type: ignore[attr-defined]  # an input type

    async def resolve(
        _root: object, info: GraphQLResolveInfo[Context], input: Mapping[str, Any] | None = None
    ) -> JobEnqueuePayload:
        context: Context = info.context
        given = input or {}
        chosen = EnqueueOptions.of(given.get("options") or {})
        return await enqueue(context, lambda: chosen.read(task, plain(given.get("args") or {})), told)

    return resolve
