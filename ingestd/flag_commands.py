"""``ingestd flags show|explain|review|close``: the life of a flag, each step by somebody and one signed entry."""

from dataclasses import asdict
from typing import Annotated, Final

import typer

from ingestd import flag_life, service
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, printable, show
from ingestd.decisions import Person
from ingestd.errors import RefusedError
from ingestd.index.queries import FlagAct, FlagRow
from ingestd.people_commands import By, decide
from ingestd.rules.exemption import GROUNDS, Ground

Flag = Annotated[str, typer.Argument(help="Id of the flag (flag_id).")]
_DID: Final = {"flag.explained": "说明 explained", "flag.reviewed": "审核 reviewed", "flag.closed": "关闭 closed"}
_RESULTS: Final = {
    "accepted": "认可 accepted",
    "returned": "退回 returned",
    **{ground.value: f"{words.zh} {words.en}" for ground, words in GROUNDS.items()},
}


def show_flag(
    flag: Flag,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Say what a flag rests on, where it stands, and who did what about it."""
    centre = service.index(load_config(config, data_dir))
    try:
        found = centre.queries.flag(flag)
    finally:
        centre.engine.dispose()
    if found is None:
        raise RefusedError(f"there is no flag {flag}; `ingestd flags list --state all --json` names them (flag_id)")
    show(asdict(found), as_json, lambda: _lines(found))


def explain(  # noqa: PLR0913  # options of one command
    flag: Flag,
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="What happened, in one sentence 说明.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Say how a flag came about. The flag stays; so does the explanation, which somebody else reviews."""
    decide(load_config(config, data_dir), flag_life.explain(flag, Person(by, reason)), as_json)


def review(  # noqa: PLR0913  # options of one command
    flag: Flag,
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="The reviewer's opinion 审核意见.")],
    returned: Annotated[bool, typer.Option("--return", help="The explanation is not enough 退回.")] = False,  # noqa: FBT002  # typer's form of a switch
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Accept the explanation of a flag, or return it. Nobody reviews his own words."""
    decide(load_config(config, data_dir), flag_life.review(flag, Person(by, reason), accepted=not returned), as_json)


def close(  # noqa: PLR0913  # options of one command
    flag: Flag,
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="Why no recording is asked for 具体原因.")],
    ground: Annotated[
        Ground, typer.Option("--ground", help="secrecy 秘密或隐私, emergency 情况紧急, impossibility 客观原因.")
    ],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Approve that a reviewed flag rests without a recording. It opens again when what it rests on changes."""
    decide(load_config(config, data_dir), flag_life.close(flag, Person(by, reason), ground), as_json)


def _lines(flag: FlagRow) -> list[str]:
    return [
        f"{flag.flag_id}\t{flag.status}",
        printable(flag.detail),
        f"依据 article: {flag.article or '—'}",
        *(_act(one) for one in flag.acts),
    ]


def _act(act: FlagAct) -> str:
    result = f" ({_RESULTS.get(act.result, act.result)})" if act.result else ""
    return printable(f"{_DID.get(act.event, act.event)}{result}\t{act.actor}\t{act.said}")
