"""A tree of commands whose modules are loaded when a command is given: none pays for what the others need.

``--help`` of a group loads all of it, because what is said of a command stands with its function.
"""

from collections import UserDict
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup


@dataclass(frozen=True, slots=True)
class Group:
    """Commands under one word."""

    help: str
    members: Mapping[str, "str | Group"]
    """By name: a further group, or ``module:attribute`` of a command's function or of a ``typer.Typer``."""


def app_of(group: Group) -> typer.Typer:
    """The group as typer runs it."""

    class Loading(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands = _Members(group.members)

    app = _app(group.help)
    app.callback(cls=Loading)(_nothing_of_its_own)
    return app


class _Members(UserDict[str, Any]):
    """Commands by name, each made when it is asked for."""

    def __getitem__(self, name: str) -> Any:
        command = _command(name, self.data[name])
        command.name = name
        return command


def _command(name: str, member: str | Group) -> Any:
    if isinstance(member, Group):
        return typer.main.get_group(app_of(member))
    module, _, attribute = member.partition(":")
    found = getattr(import_module(module), attribute)
    if isinstance(found, typer.Typer):
        return typer.main.get_group(found)
    app = _app()
    app.command(name)(found)
    return typer.main.get_command(app)


def _app(said: str | None = None) -> typer.Typer:
    return typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=said)


def _nothing_of_its_own() -> None:
    """A group does nothing but hold its commands."""
