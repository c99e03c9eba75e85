"""What a reviewer sees of a case beside its papers: how much of each act is on video, and which flags stand on it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ingestd.index.queries import ActionRow
from ingestd.index.rows import Row
from ingestd.model import Level

_WHOLE_PPM = 1_000_000


@dataclass(frozen=True, slots=True)
class Reviewed:
    """A review with the acts of its case."""

    row: Row
    acts: tuple[ActionRow, ...]

    @classmethod
    def of(cls, row: Row, acts: Iterable[ActionRow]) -> "Reviewed":
        """Put the two together."""
        return cls(row, tuple(acts))

    def as_json(self) -> dict[str, Any]:
        """The object of ``ingestd review show --json``; shares between 0 and 1, None where nothing was judged yet."""
        return {
            **self.row,
            "actions": [
                {
                    "action": one.action.action_id,
                    "type": one.action.type,
                    "level": one.action.level.value,
                    "nominal": None if one.nominal_ppm is None else one.nominal_ppm / _WHOLE_PPM,
                    "guaranteed": None if one.guaranteed_ppm is None else one.guaranteed_ppm / _WHOLE_PPM,
                    "open_flags": one.open_flags,
                }
                for one in self.acts
            ],
        }

    def lines(self) -> list[str]:
        """The same for people."""
        return [
            f"{one.action.action_id}\t{one.action.type}\t{_share(one)}\t未解决疑点 open flags {one.open_flags}"
            for one in self.acts
        ] or ["该案没有已登记的执法行为 the case has no registered act"]


def _share(one: ActionRow) -> str:
    if one.action.level is not Level.FULL or one.nominal_ppm is None:
        return one.action.level.value
    return f"音像覆盖 on video {one.nominal_ppm / _WHOLE_PPM:.1%}"
