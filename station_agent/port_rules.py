"""udev rules for the ports of the bays: nothing but disks and cameras is spoken to there.

A recorder is plugged in by anybody, and what looks like one may also be a keyboard. So at a bay's port every USB
interface is de-authorised whose class is neither mass storage nor still image: the kernel takes its driver away
(``authorized`` of the interface, Documentation/usb/authorization.rst of Linux, since 4.4). A hub is such an interface
too, with all that hangs on it. Other ports, such as that of the station's own keyboard, are left alone.

The rules are made from ``[bays]``, so that both name the same ports, and carry a mark over themselves: a daemon that
sets the mark knows these rules and no others.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from station_agent.errors import ConfigError, ToolError
from station_agent.tools.process import Limits, run

FILE_NAME: Final = "61-bodycam-ports.rules"
ALLOW_LIST: Final = "60-bodycam-dock.rules"
"""The station's own list of models, which gives recorders their tag; it is edited, so that no version of it counts."""
FOLDERS: Final = tuple(
    Path(folder, "udev/rules.d") for folder in ("/etc", "/run", "/usr/local/lib", "/usr/lib", "/lib")
)
"""Where udev looks, first found first (udev(7))."""
ALLOWED_CLASSES: Final = ("06", "08")
"""USB-IF class codes: still image (PTP), mass storage. Linux writes ``bInterfaceClass`` as two hexadecimal digits."""
MARK: Final = "BODYCAM_PORTS"
_MARKED: Final = "/sys/class/mem/null"
"""Every machine has it, and an event about it does nothing."""
_LIMITS: Final = Limits(time_s=10, output_bytes=1 << 20)
_PORT: Final = re.compile(r"(?P<port>[A-Za-z0-9_.:*?\[\]!-]*usb-[0-9*?]+:[0-9.]+):.*", re.DOTALL)
"""A pattern on ``ID_PATH`` up to the port; what follows is the interface, and each of a device's is asked."""


def rules(bays: Mapping[int, str]) -> str:
    """The rules for the ports that the patterns of these bays name."""
    return f'{_text(bays)}\nSUBSYSTEM=="mem", KERNEL=="null", ENV{{{MARK}}}="{mark(bays)}"\n'


def mark(bays: Mapping[int, str]) -> str:
    """What tells the rules of these bays, in this version, from all others."""
    return hashlib.sha256(_text(bays).encode()).hexdigest()[:16]


def _text(bays: Mapping[int, str]) -> str:
    return "\n".join(_lines(bays))


def unguarded(bays: Mapping[int, str]) -> list[int]:
    """Bays whose pattern names no USB port; what is plugged in there is not looked at."""
    return [bay for bay, pattern in sorted(bays.items()) if not _PORT.fullmatch(pattern)]


def _lines(bays: Mapping[int, str]) -> Iterator[str]:
    classes = "|".join(ALLOWED_CLASSES)
    yield "# Made by `station-agent udev-rules` from [bays]; do not edit: `station-agent doctor` compares it."
    yield f"# For /etc/udev/rules.d/{FILE_NAME}; then `udevadm control --reload`. At the port of a bay a USB"
    yield "# interface that is neither a disk (class 08) nor a camera (class 06) loses its driver: keyboards, hubs."
    yield 'ACTION!="add", GOTO="bodycam_ports_end"'
    yield 'SUBSYSTEM!="usb", GOTO="bodycam_ports_end"'
    yield 'ENV{DEVTYPE}!="usb_interface", GOTO="bodycam_ports_end"'
    yield 'IMPORT{builtin}="path_id"'
    for bay, pattern in sorted(bays.items()):
        if match := _PORT.fullmatch(pattern):
            yield f'ENV{{ID_PATH}}=="{match["port"]}:*", ENV{{.BODYCAM_BAY}}="{bay}"'
    yield 'ENV{.BODYCAM_BAY}!="?*", GOTO="bodycam_ports_end"'
    yield f'ATTR{{bInterfaceClass}}!="{classes}", ATTR{{authorized}}="0"'
    yield 'LABEL="bodycam_ports_end"'


def check_installed(bays: Mapping[int, str], folders: Iterable[Path] = FOLDERS) -> str:
    """Which rules are installed, in one sentence. Raises ``ConfigError`` unless they are those of these bays."""
    if not bays:
        return "no bays are configured, so no port is a bay's"
    places = [*folders]
    if _found(ALLOW_LIST, places) is None:
        raise ConfigError(f"{ALLOW_LIST} is not installed: no recorder gets the tag, and none is read")
    installed = _found(FILE_NAME, places)
    made = f"`station-agent udev-rules` makes them, for {places[0] / FILE_NAME}"
    if installed is None:
        raise ConfigError(f"{FILE_NAME} is not installed: a bay's port lets keyboards in; {made}")
    try:
        text = installed.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{installed} cannot be read, so that nobody knows what it lets in; {made}") from error
    if text != rules(bays):
        raise ConfigError(f"{installed} is not of this version or not of these [bays]; {made}")
    if left := unguarded(bays):
        raise ConfigError(f"bays {', '.join(map(str, left))}: the pattern names no USB port (usb-0:1:) to be guarded")
    return f"{installed}: of this version, {len(bays)} ports guarded"


def check_known(bays: Mapping[int, str]) -> str:
    """Whether udevd works by these rules, in one sentence: it is made to apply them. Raises ``ToolError``."""
    if not bays:
        return "no bays are configured, so udevd is not asked"
    _udevadm("trigger", "--action=change", "--settle", _MARKED)
    if f"{MARK}={mark(bays)}" not in _udevadm("info", "--query=property", f"--path={_MARKED}").splitlines():
        raise ToolError(f"udevd does not work by {FILE_NAME} of this version: `udevadm control --reload`, as root")
    return f"udevd works by {FILE_NAME} of this version"


def _udevadm(*arguments: str) -> str:
    ended = run(["udevadm", *arguments], _LIMITS)
    if ended.returncode:
        complaint = " ".join(ended.stderr.split())
        raise ToolError(f"udevadm {arguments[0]} failed, so udevd could not be asked: {complaint[:200]}")
    return ended.stdout.decode("utf-8", "replace")


def _found(name: str, folders: Iterable[Path]) -> Path | None:
    """The file that udev reads; an empty one, or a link to /dev/null, masks those after it."""
    return next((folder / name for folder in folders if (folder / name).exists()), None)
