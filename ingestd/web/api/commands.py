"""``ingestd tokens create|list|revoke``."""

from datetime import UTC, datetime
from typing import Annotated

import typer

from ingestd import service
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, printable, show
from ingestd.decisions import Person
from ingestd.people_commands import By, Why, decide
from ingestd.premises import SystemClock
from ingestd.web.api.tokens import Scope, create, fresh
from ingestd.web.api.tokens import revoke as revoking


def create_token(  # noqa: PLR0913  # options of one command
    name: Annotated[str, typer.Option("--name", help="Which system it is for.")],
    scope: Annotated[list[Scope], typer.Option("--scope", help="What it may be used for; may be given again.")],
    by: By,
    reason: Why,
    days: Annotated[int, typer.Option("--days", help="For how many days it holds.")] = 365,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Make a token for another system. It is shown once, now, and kept nowhere."""
    made, centre = fresh(SystemClock().now_ms()), service.build(load_config(config, data_dir))
    try:
        centre.pipeline.decide(create(made, name, scope, days, Person(by, reason)))
    finally:
        centre.engine.dispose()
    facts = {"ok": True, "id": made.token_id, "name": name, "token": made.shown}
    show(facts, as_json, lambda: [made.shown])


def list_tokens(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """List tokens, without their secrets."""
    loaded = load_config(config, data_dir)
    centre = service.index(loaded)
    try:
        rows = centre.queries.tokens()
    finally:
        centre.engine.dispose()
    now_ms = SystemClock().now_ms()

    def state(revoked_ms: int | None, expires_ms: int) -> str:
        day = datetime.fromtimestamp(expires_ms // 1000, UTC).astimezone(loaded.zone)
        if revoked_ms is not None:
            return "已吊销 revoked"
        return f"{'已过期 expired' if expires_ms <= now_ms else '有效 in force'} {day:%Y-%m-%d}"

    facts = {"tokens": [{name: value for name, value in row.items() if name != "sha256"} for row in rows]}
    show(
        facts,
        as_json,
        lambda: [
            printable(
                f"{row['token_id']}\t{row['name']}\t{row['scopes']}\t{state(row['revoked_ms'], row['expires_ms'])}"
            )
            for row in rows
        ],
    )


def revoke_token(  # noqa: PLR0913  # options of one command
    token: Annotated[str, typer.Argument(help="Id of the token.")],
    by: By,
    reason: Why,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """End a token at once."""
    decide(load_config(config, data_dir), revoking(token, Person(by, reason)), as_json)
