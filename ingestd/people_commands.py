"""What people decide, as commands: ``link``, ``holds``, ``disposals``. Each writes one signed entry.

Who decides is taken as stated: whoever may run these commands at the centre answers for the name.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Annotated, Any, TypeVar

import typer

from ingestd import decisions, service
from ingestd.config import Config
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, show
from ingestd.decisions import Decision, Person
from ingestd.errors import ObjectMissingError
from ingestd.index.queries import DisposalRow, HoldRow, Queries
from ingestd.store import EvidenceReader

T = TypeVar("T")
By = Annotated[str, typer.Option("--by", help="Who decides: a certificate number or account 决定人.")]
Why = Annotated[str, typer.Option("--reason", help="Why; it stands in the log for good 理由.")]
Clip = Annotated[str, typer.Argument(help="Id of the clip.")]
Action = Annotated[str, typer.Argument(help="Id of the action.")]


def _between(decision: Callable[[str, str, Person], Decision], told: str) -> Callable[..., None]:
    """A command by which a person decides how a clip and an action stand to each other."""

    def command(  # noqa: PLR0913  # options of one command
        clip: Clip,
        action: Action,
        by: By,
        reason: Why,
        config: ConfigOption = None,
        data_dir: DataOption = None,
        as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
    ) -> None:
        decide(load_config(config, data_dir), decision(clip, action, Person(by, reason)), as_json)

    command.__doc__ = told
    return command


add_link = _between(decisions.link, "Say that a clip belongs to an action.")
remove_link = _between(
    decisions.unlink, "Say that a clip does not belong to an action; it is not linked to it again by itself."
)


def set_hold(  # noqa: PLR0913  # options of one command
    by: By,
    reason: Why,
    clip: Annotated[str, typer.Option("--object", help="Id of a clip.")] = "",
    case: Annotated[str, typer.Option("--case", help="Number of a case.")] = "",
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Forbid that a clip, or any clip of a case, is disposed of."""
    decide(load_config(config, data_dir), decisions.hold(clip, case, Person(by, reason)), as_json)


def release_hold(  # noqa: PLR0913  # options of one command
    hold: Annotated[str, typer.Argument(help="Id of the hold.")],
    by: By,
    reason: Why,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """End a hold."""
    decide(load_config(config, data_dir), decisions.release(hold, Person(by, reason)), as_json)


def list_holds(
    config: ConfigOption = None,
    data_dir: DataOption = None,
    every: Annotated[bool, typer.Option("--all", help="Released ones as well.")] = False,  # noqa: FBT002  # typer's form of a switch
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """List holds in force."""
    rows = _asked(load_config(config, data_dir), lambda queries: queries.holds(every=every))
    facts = {"holds": [asdict(row) for row in rows], "count": len(rows)}
    show(facts, as_json, lambda: [_hold_line(row) for row in rows])


def approve_disposal(  # noqa: PLR0913  # options of one command
    clip: Clip,
    by: By,
    reason: Why,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Agree that an original may go; two different people must. Nothing is deleted."""
    loaded = load_config(config, data_dir)
    person = Person(by, reason)
    decide(loaded, decisions.approve_disposal(clip, person, loaded.retention.keep_days), as_json)


def record_disposal(  # noqa: PLR0913  # options of one command
    clip: Clip,
    by: By,
    reason: Why,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Record that an approved original is gone from the store, after looking."""
    loaded = load_config(config, data_dir)
    store = EvidenceReader(loaded.store.url)
    decide(loaded, decisions.record_disposal(clip, Person(by, reason), lambda name: _holds(store, name)), as_json)


def list_disposals(config: ConfigOption = None, data_dir: DataOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002  # typer's form of a switch
    """List approvals, and what is recorded as gone."""
    rows = _asked(load_config(config, data_dir), lambda queries: queries.disposals())
    facts = {"disposals": [asdict(row) for row in rows], "count": len(rows)}
    show(facts, as_json, lambda: [_disposal_line(row) for row in rows])


def _holds(store: EvidenceReader, name: str) -> bool:
    """Whether the store has an object; raises ``StoreError`` when it does not say."""
    try:
        store.size(name)
    except ObjectMissingError:
        return False
    return True


def decide(config: Config, decision: Decision, as_json: bool) -> None:  # noqa: FBT001  # typer's form of a switch
    """Write what a person decided and say which entries it made. Raises ``RefusedError``."""
    centre = service.build(config)
    try:
        entries = centre.pipeline.decide(decision)
    finally:
        centre.engine.dispose()
    facts: dict[str, Any] = {
        "ok": True,
        "entries": [{"event": one.record.event, "log": one.record.log, "seq": one.seq} for one in entries],
    }
    show(facts, as_json, lambda: [f"{one.record.event} 已记入日志: {one.record.log}:{one.seq}" for one in entries])


def _asked(config: Config, question: Callable[[Queries], Sequence[T]]) -> Sequence[T]:
    centre = service.index(config)
    try:
        return question(centre.queries)
    finally:
        centre.engine.dispose()


def _hold_line(row: HoldRow) -> str:
    state = "in force 有效" if row.released_ms is None else f"released by {row.released_by}: {row.release_reason}"
    return "\t".join((row.hold_id, row.object_id or row.case, row.set_by, row.reason, state))


def _disposal_line(row: DisposalRow) -> str:
    state = "gone 已销毁" if row.done_ms is not None else "in the store 仍在库"
    return "\t".join((row.object_id, ", ".join(row.approved_by), "; ".join(row.reasons), state))
