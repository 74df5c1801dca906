"""The filter as people type it: `state:dead queue:mail args.user.id:42 error:"Timeout" age:<1h`.

Terms side by side must all hold; `OR` between them, `-` or `NOT` before one, and parentheses are understood. A term is
FIELD:VALUE; values in a row, `state:dead,cancelled`, are alternatives. Times are written 2026-11-26,
2026-11-26T08:00Z or as an age: 30s, 15m, 2h, 7d, 4w.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import Any, NoReturn

import msgspec
from lark import Lark, Token, Transformer
from lark.exceptions import UnexpectedCharacters, UnexpectedEOF, UnexpectedInput, UnexpectedToken, VisitError

from jobs.errors import InvalidOption
from jobs.job import Priority, Reason, State
from jobs.where import DOCUMENTS, TIMES, JobWhere, PathWhere, Scalar, TimeRange, check

TEXT_MAX = 4_096
"""Longest filter, in characters."""
NESTED_MAX = 32
"""Parentheses within each other."""

_PARSER = Lark(
    r"""
    start: either
    either: each (_OR each)*
    each: part+
    ?part: term | _NOT part -> without | "-" part -> without | "(" either ")"
    term: FIELD _alternatives
    _alternatives: value ("," value)*
    value: SIGN? (QUOTED | WORD)

    _OR.2: /OR(?=[\s(])/
    _NOT.2: /NOT(?=[\s(])/
    FIELD: /[A-Za-z][A-Za-z]*((\.|\[)[^\s:,()"]*)?:/
    SIGN: />=|<=|>|<|~/
    QUOTED: /"([^"\\]|\\.)*"/
    WORD: /[^\s,()"<>~][^\s,()"]*/
    %ignore /\s+/
    """,
    parser="lalr",
)


class _Value(msgspec.Struct, frozen=True):
    sign: str
    text: str
    quoted: bool
    place: int


_UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_AGE = re.compile(r"(\d{1,9})([smhdw])")
_ENUMS: dict[str, tuple[str, type[Enum]]] = {
    "state": ("states", State),
    "priority": ("priorities", Priority),
    "reason": ("reasons", Reason),
}
_TEXTS = {
    "task": "tasks", "queue": "queues", "key": "keys", "owner": "owners", "tag": "tags", "parent": "parents",
}  # fmt: skip
FIELDS = (*_ENUMS, *_TEXTS, "error", *DOCUMENTS, *TIMES, "age")
"""What a term may begin with."""


def parse(text: str, now_ms: int) -> JobWhere:
    """Read a filter. Raises InvalidOption that names the place of the fault, counted in characters from 1."""
    if len(text) > TEXT_MAX:
        raise InvalidOption(f"A filter has at most {TEXT_MAX:,} characters, not {len(text):,}.", path=("where", "text"))
    if not text.strip():
        return JobWhere()
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "(") - (letter == ")")
        if depth > NESTED_MAX:
            _refuse(place, f"at most {NESTED_MAX} parentheses are read within each other")
    try:
        where: JobWhere = _Reader(now_ms).transform(_PARSER.parse(text))
    except VisitError as error:
        raise error.orig_exc from None
    except UnexpectedInput as error:
        _explain(error, text)
    check(where)
    return where


def _refuse(place: int, why: str) -> NoReturn:
    raise InvalidOption(f"In the filter, at character {place + 1}: {why}.", path=("where", "text"))


def _explain(error: UnexpectedInput, text: str) -> NoReturn:
    ends = isinstance(error, UnexpectedEOF) or (isinstance(error, UnexpectedToken) and error.token.type == "$END")
    place = len(text) if ends else error.pos_in_stream or 0
    expected = error.allowed if isinstance(error, UnexpectedCharacters) else getattr(error, "expected", set())
    wants_value = bool({"WORD", "QUOTED"} & set(expected or ()))
    found = "the end" if ends else repr(text[place : place + 20])
    wanted = "a value" if wants_value else "a closing parenthesis" if ends else "a term such as state:dead"
    if text[place : place + 1] == '"' and wants_value:
        _refuse(place, "a quotation mark that is not closed")
    _refuse(place, f"{wanted} is expected, not {found}")


class _Reader(Transformer[Token, JobWhere]):
    """From the tree to the filter, the leaves first."""

    def __init__(self, now_ms: int) -> None:
        super().__init__()
        self._now_ms = now_ms

    def start(self, parts: list[JobWhere]) -> JobWhere:
        return parts[0]

    def either(self, parts: list[JobWhere]) -> JobWhere:
        return parts[0] if len(parts) == 1 else JobWhere(some=tuple(parts))

    def each(self, parts: list[JobWhere]) -> JobWhere:
        return _all(parts)

    def without(self, parts: list[JobWhere]) -> JobWhere:
        return JobWhere(none=(parts[-1],))

    def value(self, tokens: list[Token]) -> _Value:
        sign, word = ("", tokens[0]) if len(tokens) == 1 else (str(tokens[0]), tokens[1])
        place = tokens[0].start_pos or 0
        if word.type == "QUOTED":
            return _Value(sign, re.sub(r"\\(.)", r"\1", word[1:-1], flags=re.DOTALL), True, place)
        return _Value(sign, str(word), False, place)

    def term(self, parts: list[Any]) -> JobWhere:
        field, values = parts[0], parts[1:]
        name = str(field)[:-1]
        root = re.split(r"[.\[]", name, maxsplit=1)[0].lower()
        if root in DOCUMENTS and name.lower() != root:
            path = name[len(root) :].removeprefix(".")
            return _any([_document(root, path, value) for value in values])
        if name.lower() not in FIELDS or root in DOCUMENTS:
            _refuse(field.start_pos or 0, _unknown(name))
        if root in TIMES or root == "age":
            return _any([self._time(root, value) for value in values])
        for value in values:
            if value.sign:
                _refuse(value.place, f"{root} has no order; write {root}:VALUE")
        if root in _ENUMS:
            part, kind = _ENUMS[root]
            return _where(part, tuple(_member(kind, value, root) for value in values))
        if root == "error":
            return _any([JobWhere(error=value.text) for value in values])
        return _where(_TEXTS[root], tuple(value.text for value in values))

    def _time(self, root: str, value: _Value) -> JobWhere:
        part, sign = root, value.sign
        if root == "age":  # a small age is a late time
            part, sign = "created", {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(sign, sign)
        first, dots, second = value.text.partition("..")
        begin, end = self._moment(first, value.place)
        if dots and (sign or root == "age"):
            _refuse(value.place, f"a span is written {part}:2026-01-01..2026-02-01")
        if dots:
            return _where(part, TimeRange(from_ms=begin, until_ms=self._moment(second, value.place)[1]))
        spans = {
            "": TimeRange(from_ms=begin, until_ms=end),
            ">": TimeRange(from_ms=end),
            ">=": TimeRange(from_ms=begin),
            "<": TimeRange(until_ms=begin),
            "<=": TimeRange(until_ms=end),
        }
        if sign not in spans:
            _refuse(value.place, f"{root} is a time, and has no text within it")
        return _where(part, spans[sign])

    def _moment(self, text: str, place: int) -> tuple[int, int]:
        """Read a time: when it begins, and when it is over. A day lasts a day."""
        if age := _AGE.fullmatch(text):
            at_ms = self._now_ms - int(age[1]) * _UNITS[age[2]] * 1_000
            return max(0, at_ms), max(0, at_ms + 1)
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            _refuse(place, f"{text[:40]!r} is no time; write 2026-11-26, 2026-11-26T08:00Z, or an age such as 2h")
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        begin = round(at.timestamp() * 1_000)
        return begin, begin + (86_400_000 if len(text) <= len("2026-11-26") else 1)


def _all(parts: Sequence[JobWhere]) -> JobWhere:
    """Put terms together: side by side in one filter as long as each says something else."""
    whole = parts[0]
    for part in parts[1:]:
        given = {name: value for name in JobWhere.__struct_fields__ if (value := getattr(part, name))}
        if all(not getattr(whole, name) or name in ("none", "every", "args", "metadata") for name in given):
            merged = {
                name: (*getattr(whole, name), *value) if isinstance(value, tuple) and getattr(whole, name) else value
                for name, value in given.items()
            }
            whole = msgspec.structs.replace(whole, **merged)
        else:
            whole = msgspec.structs.replace(whole, every=(*whole.every, part))
    return whole


def _any(parts: Sequence[JobWhere]) -> JobWhere:
    return parts[0] if len(parts) == 1 else JobWhere(some=tuple(parts))


def _where(part: str, value: Any) -> JobWhere:
    return msgspec.structs.replace(JobWhere(), **{part: value})


def _member(kind: type[Enum], value: _Value, field: str) -> Enum:
    try:
        return kind[value.text.upper()]
    except KeyError:
        names = ", ".join(one.name.lower() for one in kind)
        _refuse(value.place, f"{value.text[:40]!r} is no {field}; there are {names}")


def _unknown(name: str) -> str:
    if name.lower() in DOCUMENTS:
        return f"{name} needs a path, as in {name.lower()}.user.id:42"
    close = difflib.get_close_matches(name.lower(), FIELDS, n=1)
    hint = f"{close[0]} is" if close else f"there are {', '.join(FIELDS)}"
    return f"{name[:40]!r} is no field of the filter; {hint}"


def _document(root: str, path: str, value: _Value) -> JobWhere:
    def part(**what: Any) -> JobWhere:
        return _where(root, (PathWhere(path=path, **what),))

    if value.sign == "~":
        return part(contains=value.text)
    if value.sign:
        number = _number(value.text)
        if number is None:
            _refuse(value.place, f"{root}.{path} is compared with a number, not {value.text[:40]!r}")
        bounded = part(at_least=number) if value.sign[0] == ">" else part(at_most=number)
        return bounded if "=" in value.sign else msgspec.structs.replace(bounded, none=(part(equals=(number,)),))
    if value.text == "*" and not value.quoted:
        return part(exists=True)
    return part(equals=_meanings(value.text, quoted=value.quoted))


def _meanings(text: str, *, quoted: bool) -> tuple[Scalar, ...]:
    """Return what a value may be in JSON: 42 is a number or a text, "42" only a text."""
    if quoted:
        return (text,)
    words: dict[str, Scalar] = {"true": True, "false": False, "null": None}
    if text in words:
        return (words[text], text)
    number = _number(text)
    return (text,) if number is None else (number, text)


def _number(text: str) -> float | None:
    try:
        return int(text) if re.fullmatch(r"-?\d{1,18}", text) else float(text)
    except ValueError:
        return None
