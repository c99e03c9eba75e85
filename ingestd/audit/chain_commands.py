"""``ingestd audit chain``."""

from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from ingestd import vocabulary
from ingestd.audit import words
from ingestd.audit.chain import Bound, Chain, Event, chain_of
from ingestd.audit.rows import compare
from ingestd.audit.run import Asked, subject_of
from ingestd.audit.selection import Selection
from ingestd.audit.verify_commands import say
from ingestd.config import Config
from ingestd.console import ConfigOption, DataOption, JsonOption, load_config, show
from ingestd.errors import DatabaseError
from ingestd.rules.wording import Both, Language

LangOption = Annotated[str, typer.Option("--lang", help="zh or en; otherwise that of the terminal, else zh.")]

_NOT_BEFORE = Both("不早于", "not before")
_NOT_AFTER = Both("不晚于", "not after")
_VERIFIED = Both("已核验", "verified")
_NOT_VERIFIED = Both("未通过核验", "NOT verified")
_NO_INDEX = Both("没有索引可供比对", "there is no index to compare with")
_NOT_READ = Both(
    "文件本身未重新读取：ingestd audit verify --clip", "the file itself was not re-read: ingestd audit verify --clip"
)


def chain(
    clip: str,
    config: ConfigOption = None,
    data_dir: DataOption = None,
    lang: LangOption = "",
    as_json: JsonOption = False,  # noqa: FBT002  # typer's form of a switch
) -> None:
    """Tell every signed event of a clip, with actor, host and time; exit 0 verified, 1 not, 2 could not check."""
    if lang not in {"", "zh", "en"}:
        raise typer.BadParameter("--lang: zh or en")
    loaded = load_config(config, data_dir)
    told = story(loaded, clip)
    language = words.language_of(lang)
    show(told.as_json(), as_json, lambda: lines(told, loaded.zone, language))
    raise typer.Exit(int(told.outcome))


def story(config: Config, clip: str) -> Chain:
    """The clip's story, compared with the index where there is one that answers."""
    told = chain_of(clip, subject_of(config, Asked(), Selection(clips=(clip,)), None, say))
    try:
        compare(told, config.database.url)
    except DatabaseError as error:
        say(f"not compared with the index: {error}")
    return told


def lines(told: Chain, zone: ZoneInfo, language: Language) -> list[str]:
    """For people who read a terminal: two lines an event, then findings and verdict."""
    text = [line for one in told.events for line in _event(one, zone, language)]
    for bad in told.report.findings:
        said = vocabulary.word(bad.verdict)
        text.append(f"{bad.verdict} ({said.name.in_language(language)}): {bad.log} {bad.reason}")
    if not told.compared:
        text.append(_NO_INDEX.in_language(language))
    if told.events:
        text.append(f"{_NOT_READ.in_language(language)} {told.clip}")
    said = vocabulary.OUTCOMES[told.outcome]
    text.append(f"{said.name.in_language(language)}: {said.meaning.in_language(language)}")
    return [words.plain(line) for line in text]


def _event(one: Event, zone: ZoneInfo, language: Language) -> list[str]:
    name = words.event(one.event, language)
    mark = (_VERIFIED if one.verified else _NOT_VERIFIED).in_language(language)
    head = f"{words.moment(one.utc_ms, zone)}  {name} ({one.event})  {one.host}  {one.actor}  {one.what}"
    bounds = [_bound(_NOT_BEFORE, one.not_before, zone, language), _bound(_NOT_AFTER, one.not_after, zone, language)]
    place = [f"{one.log}:{one.seq}", one.leaf, mark, f"clock={one.clock}", *bounds]
    return [head.rstrip(), "    " + "  ".join(part for part in place if part)]


def _bound(name: Both, bound: Bound | None, zone: ZoneInfo, language: Language) -> str:
    return f"{name.in_language(language)} {words.moment(bound.utc_ms, zone)} ({bound.by})" if bound else ""
