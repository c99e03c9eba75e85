"""``ingestd review …``: legal review (重大执法决定法制审核), each step by somebody and one signed entry."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from ingestd import service
from ingestd.config import Config
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, moment_of, printable, show
from ingestd.decisions import Person
from ingestd.errors import RefusedError
from ingestd.index import decided
from ingestd.index.acts import ActionFilter
from ingestd.people_commands import By, Why, decide
from ingestd.review.decide import Result, conclude, extend, submit
from ingestd.review.show import Reviewed

Review = Annotated[str, typer.Argument(help="Id of the review.")]


def submit_case(  # noqa: PLR0913  # options of one command
    case: Annotated[str, typer.Argument(help="Number of the case 案号.")],
    subject: Annotated[str, typer.Option("--subject", help="What is to be decided 拟作出的决定.")],
    complete: Annotated[
        str, typer.Option("--complete", help="Since when the material is complete, YYYY-MM-DD 材料齐备之日.")
    ],
    by: By,
    reason: Annotated[str, typer.Option("--reason", help="Which material is handed in 送审材料.")],
    again: Annotated[str, typer.Option("--again", help="Id of the review that had problems 再次报送.")] = "",
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Hand a case in for legal review."""
    loaded = load_config(config, data_dir)
    complete_ms = moment_of("--complete", complete, loaded.zone)
    decide(loaded, submit(case, subject, complete_ms, Person(by, reason), again), as_json)


def extend_review(  # noqa: PLR0913  # options of one command
    review: Review,
    by: By,
    reason: Why,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Take the further working days of a difficult case."""
    decide(load_config(config, data_dir), extend(review, Person(by, reason)), as_json)


def conclude_review(  # noqa: PLR0913  # options of one command
    review: Review,
    by: By,
    result: Annotated[Result, typer.Option("--result", help="同意 agreed, or 存在问题 problems.")],
    opinion: Annotated[str, typer.Option("--opinion", help="The written opinion 书面审核意见.")],
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Give the written opinion: agreed to, or problems that are to be mended and handed in again."""
    decide(load_config(config, data_dir), conclude(review, Person(by, opinion), result), as_json)


def list_reviews(config: ConfigOption = None, data_dir: DataOption = None, as_json: JsonOption = False) -> None:  # noqa: FBT002  # typer's form of a switch
    """List legal reviews, latest first."""
    loaded = load_config(config, data_dir)
    centre = service.index(loaded)
    try:
        rows = centre.queries.read(decided.reviews)
    finally:
        centre.engine.dispose()
    facts = {"reviews": rows, "count": len(rows)}
    show(facts, as_json, lambda: [_line(row, loaded) for row in rows])


def show_review(
    review: Review,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Say where a review stands, and what is on video of the acts of its case and which flags stand on them."""
    loaded = load_config(config, data_dir)
    centre = service.index(loaded)
    try:
        one = centre.queries.read(lambda db: decided.review(db, review))
        if one is None:
            raise RefusedError(f"there is no review {review}; `ingestd review list` names them")
        acts = centre.queries.actions(ActionFilter(case=one["case_number"]), limit=1_000).rows
    finally:
        centre.engine.dispose()
    seen = Reviewed.of(one, acts)
    show(seen.as_json(), as_json, lambda: [_line(one, loaded), *(printable(line) for line in seen.lines())])


def _line(row: dict[str, Any], config: Config) -> str:
    day = datetime.fromtimestamp(row["complete_ms"] // 1000, UTC).astimezone(config.zone)
    return printable(
        "\t".join(
            (row["review_id"], row["state"], row["case_number"], row["subject"], f"{day:%Y-%m-%d}", row["opinion"])
        )
    )
