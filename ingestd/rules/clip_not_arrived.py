"""A file was seen on a recorder and neither copied nor reported as failed."""

from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from custody.canonical import JsonValue
from ingestd.model import Flag
from ingestd.rules.rule import MAX_SHOWN, Rule
from ingestd.rules.wording import Both

RULE: Final = Rule(
    rule_id="clip-not-arrived",
    version="1",
    title=Both("记录仪上的文件未到达", "A file seen on a recorder has not arrived"),
    asks=Both(
        "加强执法案卷管理，确保所有执法行为有据可查。",
        "Records are made, kept and archived so that every act of enforcement can be traced.",
    ),
    noticed=Both(
        "采集站在记录仪上看到了该文件，但既没有采集完成的记录，也没有采集失败的记录；文件到达或失败有记录后自动撤销。",
        "The station saw the file on a recorder, and there is neither a record that it was copied nor one that copying"
        " failed. It is withdrawn when either comes.",
    ),
    sentence=Both(
        "采集站 {station} 于 {seen_ms} 在记录仪 {recorder} 上看到文件 {path}，至今未到达。",
        "Station {station} saw file {path} on recorder {recorder} at {seen_ms}; it has not arrived.",
    ),
    acts=Both(
        "保留记录仪不得擦除，重新插入采集站。",
        "Keep the recorder, do not erase it, and dock it again.",
    ),
    article="运政办〔2019〕3号 一（二）3",
)


@dataclass(frozen=True, slots=True)
class SeenFile:
    """A file that a station found on a recorder; ``entry`` names the log entry that says so."""

    station: str
    recorder: str
    path: str
    seen_ms: int
    entry: str


def clip_not_arrived(seen: SeenFile, zone: ZoneInfo) -> Flag:
    """The flag for one file."""
    inputs: dict[str, JsonValue] = {
        "station": seen.station,
        "recorder": seen.recorder,
        "path": seen.path[:MAX_SHOWN],
        "seen_ms": seen.seen_ms,
        "entry": seen.entry,
        "zone": zone.key,
    }
    return RULE.flag(f"{seen.entry}:{seen.path}", inputs)
