"""Shapes of answers for the OpenAPI document, made from the very values that are answered with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from functools import cache
from http import HTTPStatus
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, create_model


@cache
def shape(value: type) -> type[BaseModel]:
    """A model of a frozen dataclass: same name, same fields, nested ones likewise. Raises ``TypeError`` for others."""
    if not is_dataclass(value):
        raise TypeError(f"{value} is no dataclass")
    hints = get_type_hints(value)
    told: dict[str, Any] = {part.name: (_shape_of(hints[part.name]), ...) for part in fields(value)}
    return create_model(value.__name__, __config__=ConfigDict(extra="forbid"), __doc__=value.__doc__, **told)


def page_of(name: str, row: type) -> type[BaseModel]:
    """A page of rows under ``name``, and where the next one begins."""
    told: dict[str, Any] = {name: (list[shape(row)], ...), "next": (str | None, ...)}  # type: ignore[misc]  # a type made here
    return create_model(f"{row.__name__}Page", __config__=ConfigDict(extra="forbid"), **told)


def plain(value: Any) -> Any:
    """A frozen value as JSON knows it, field names kept."""
    if is_dataclass(value) and not isinstance(value, type):
        return {part.name: plain(getattr(value, part.name)) for part in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [plain(part) for part in value]
    return value.value if isinstance(value, Enum) else value


@dataclass(frozen=True, slots=True)
class Problem:
    """What went wrong (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


def problem(status: int, detail: str) -> JSONResponse:
    """An answer that says what went wrong."""
    told = Problem("about:blank", HTTPStatus(status).phrase, status, detail)
    headers = {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else None
    return JSONResponse(plain(told), status, headers, media_type="application/problem+json")


def _shape_of(hint: Any) -> Any:
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return _union(parts)
    if isinstance(hint, type) and is_dataclass(hint):
        return shape(hint)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return dict[str, str] if parts == (str, str) else dict[str, Any]
    if isinstance(origin, type) and issubclass(origin, Sequence):
        return list[_shape_of(parts[0])]  # type: ignore[misc]  # a type made here
    return hint


def _union(parts: tuple[Any, ...]) -> Any:
    made = [_shape_of(part) for part in parts if part is not NoneType]
    found = made[0]
    for one in made[1:]:
        found |= one
    return found | None if NoneType in parts else found
