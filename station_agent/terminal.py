"""The dock in a terminal (``station-agent status --watch``): what the screen and the technician's page show, over SSH.

The same figures and the same words as on the screen, Chinese first, with the English beside each state.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from station_agent.model import printable
from station_agent.screen import language
from station_agent.screen.tiles import Board, Inside, Length, Tile, board_of, inside_of

EVERY_S: Final = 1.0
_STYLES: Final = {"calm": "dim", "busy": "blue", "good": "green", "good-warn": "green", "warn": "yellow", "bad": "red"}

Look = Callable[[], tuple[Mapping[str, Any], Mapping[str, Any]]]
"""The status, and what stands beside it."""


def watch(look: Look, console: Console, rounds: int | None = None) -> None:
    """Show the dock anew every second until interrupted, or ``rounds`` times."""
    with Live(console=console, auto_refresh=False) as live:
        while rounds is None or rounds > 0:
            live.update(shown(*look()), refresh=True)
            rounds = None if rounds is None else rounds - 1
            if rounds != 0:
                time.sleep(EVERY_S)


def shown(status: Mapping[str, Any], beside: Mapping[str, Any]) -> Group:
    """One picture of the dock."""
    board, inside = board_of(status, beside), inside_of(status, beside)
    return Group(_header(board, status), _bays(board, inside), *_lines(inside))


def _header(board: Board, status: Mapping[str, Any]) -> Text:
    link = "中心：正常 online" if board.online else f"中心：离线 offline，{board.to_send} 项待传 to send"
    age = f"（{_length(board.link_age)}）" if board.link_age else ""
    clock = "时钟已同步 clock in step" if board.clock_source == "ntp" else "时钟未同步 clock not in step"
    hours = "?" if board.video_hours is None else board.video_hours
    today = "?" if board.dockings_today is None else board.dockings_today
    words = [
        f"{board.station}: {status.get('state')}",
        link + age,
        clock,
        f"可存录像约 {hours} 小时 h of video",
        f"今日插入 {today} 次 dockings today",
    ]
    return _plain(" · ".join(words))


def _bays(board: Board, inside: Inside) -> Table:
    table = Table("机位\nbay", "状态\nstate", "记录仪\nrecorder", "证号\nofficer", "进度\ndone", "速率\nrate", "USB")
    ports = {port.bay: port.found for port in inside.ports}
    for tile in board.tiles:
        state = Text(f"{_zh(tile.look.word)} {tile.look.word}", style=_STYLES[tile.look.tone])
        cells = (tile.name, tile.officer, _done(tile), tile.rate, ports.get(tile.bay, ""))
        table.add_row(str(tile.bay), state, *map(_plain, cells))
    return table


def _done(tile: Tile) -> str:
    if not tile.files_total:
        return ""
    percent = "" if tile.percent is None else f"{tile.percent} % "
    left = f" 约 {_length(tile.remaining)}" if tile.remaining else ""
    return f"{percent}{tile.files_done}/{tile.files_total} {tile.bytes_of}{left}"


def _lines(inside: Inside) -> list[Text]:
    waiting = ", ".join(f"{name} {count}" for name, count in inside.waiting.items())
    aside = ", ".join(f"{reason} {count}" for reason, count in inside.set_aside.items()) or "无 none"
    lines = [
        f"日志 log: {inside.origin} {inside.size}, root {inside.root}, 已副署 cosigned {inside.cosigned}",
        f"待办 waiting: {waiting}",
        f"待处理 set aside: {aside}",
        *(f"{one['job']} {one['object']}: {one['reason']}" for one in inside.troubles),
        *(f"{one['at']} bay {one['bay']} {one['serial']} {one['path']}: {one['reason']}" for one in inside.failures),
    ]
    return [_plain(line) for line in lines]


def _length(length: Length) -> str:
    unit = {"minutes": "分钟 min", "hours": "小时 h", "days": "天 d"}[length.unit]
    return f"{length.count} {unit}"


def _zh(word: str) -> str:
    return language.translations(language.DEFAULT).gettext(word)


def _plain(text: str) -> Text:
    """No name from a recorder moves the cursor or colours anything."""
    return Text(printable(text))
