"""A recorder that offers its files over PTP or MTP instead of a volume: the second way besides block devices.

``camera`` talks to it in a process of its own, one for as long as the recorder is read; here are its files, one opened
at a time since the protocol knows one transaction at a time. The protocol gives no proof that a recorder is read-only:
``read_only_device`` is ``no``; we only never ask it to write.
"""

import errno
import os
import re
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import IO, Final
from zoneinfo import ZoneInfo

from station_agent.errors import CopyError, MountError
from station_agent.model import MountedVolume, RecorderDocked, SourceFile
from station_agent.unmounted import listed

FILE_SYSTEM: Final = "ptp"
"""Stands where a volume has its file system."""
DRIVER: Final = "gphoto2"
REASON: Final = "no-volume: the recorder offers its files over PTP or MTP"
ANSWER_TIMEOUT_S: Final = 900
"""A listing asks for each file, and a clip of 4 GB may come as a whole; whoever needs longer is dead."""
CLOSE_TIMEOUT_S: Final = 10
PIECE_BYTES: Final = 1 << 20
MAX_LISTING_BYTES: Final = 64 << 20

_LENGTH_BYTES: Final = 4


class Recorder:
    """Satisfies ``model.Tree``: a connected recorder."""

    def __init__(self, process: "subprocess.Popen[bytes]", said: IO[bytes]) -> None:
        """Reads the listing. Raises ``MountError``."""
        if process.stdin is None or process.stdout is None:
            raise ValueError("a recorder is asked and answers through pipes")
        self._process = process
        self._asked, self._answers, self._said = process.stdin, process.stdout, said
        self._turn = threading.Lock()
        self._listed = self._listing()
        self._numbers = {file.path: number for number, file in enumerate(self._listed) if not file.refused}

    def files(self) -> Iterator[SourceFile]:
        """Every file, refused ones too."""
        yield from self._listed

    @contextmanager
    def opened(self, path: bytes) -> Iterator["RemoteFile"]:
        """Waits until no other file is open. Raises ``CopyError`` ``not-a-file`` for a path that was not listed."""
        number = self._numbers.get(path)
        if number is None:
            raise CopyError("not-a-file", "only files that were listed are read")
        with self._turn:
            yield RemoteFile(self, number, self._listed[number])

    def read(self, number: int, offset: int, buffer: memoryview) -> int:
        """Ask for bytes of a file; how many came. Raises ``OSError``."""
        with self._impatiently():
            try:
                self._asked.write(f"{number} {offset} {len(buffer)}\n".encode())
                self._asked.flush()
            except BrokenPipeError as error:
                raise OSError(errno.EIO, "the recorder's session has ended") from error
            size = int.from_bytes(self._answers.read(_LENGTH_BYTES), "big", signed=True)
            if size < 0:
                raise OSError(errno.EIO, self._answers.readline(1000).decode("utf-8", "replace").strip())
            if not 0 < size <= len(buffer) or self._into(buffer[:size]) != size:
                self._process.kill()  # what comes next would belong to no question
                raise OSError(errno.EIO, "the recorder gave other bytes than it was asked for, or none")
            return size

    def _into(self, buffer: memoryview) -> int:
        done = 0
        while count := self._answers.readinto(buffer[done:]):  # type: ignore[attr-defined]  # a pipe has it
            done += count
        return done

    def _listing(self) -> list[SourceFile]:
        found: list[SourceFile] = []
        size = 0
        with self._impatiently():
            while (raw := self._answers.readline(MAX_LISTING_BYTES)).strip():
                size += len(raw)
                if size > MAX_LISTING_BYTES:
                    raise MountError("the recorder lists more files than any recorder holds")
                found.append(listed(raw)[0])
        if not raw:
            self._process.wait()
            self._said.seek(0)
            said = self._said.read().decode("utf-8", "replace").strip().splitlines()
            raise MountError(f"the recorder could not be read over PTP: {said[-1] if said else 'its session ended'}")
        return found

    @contextmanager
    def _impatiently(self) -> Iterator[None]:
        """A session that does not answer in time is ended; the read then fails instead of waiting for ever."""
        timer = threading.Timer(ANSWER_TIMEOUT_S, self._process.kill)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()


class RemoteFile:
    """Satisfies ``model.OpenedFile``."""

    def __init__(self, recorder: Recorder, number: int, file: SourceFile) -> None:
        self._recorder = recorder
        self._number = number
        self._file = file

    def state(self) -> tuple[int, int]:
        """As listed: PTP tells of changes by events that recorders do not send."""
        return self._file.size, self._file.mtime_ns

    def read_into(self, buffer: memoryview, done: int) -> int:
        """Raises ``OSError`` when less comes than was listed."""
        wanted = min(len(buffer), self._file.size - done, PIECE_BYTES)
        return self._recorder.read(self._number, done, buffer[:wanted]) if wanted else 0

    def release(self) -> None:
        """Nothing of it is cached here."""


def port_of(node: str) -> str:
    """libgphoto2's name of a port, from ``/dev/bus/usb/BUS/DEV``. Raises ``MountError``."""
    place = re.fullmatch(r"/dev/bus/usb/(\d{3})/(\d{3})", node)
    if place is None:
        raise MountError(f"{node} is no USB device; a recorder over PTP is at /dev/bus/usb/BUS/DEV")
    return f"usb:{place[1]},{place[2]}"


@contextmanager
def connected(
    event: RecorderDocked, zone: ZoneInfo, argv: Sequence[str] = (sys.executable, "-m", "station_agent.camera")
) -> Iterator[MountedVolume]:
    """The recorder's files for as long as the context lasts. PTP times have no zone; they are read as of ``zone``.

    ``argv`` starts the session's process. Raises ``MountError`` when the recorder does not answer at its port.
    """
    port = port_of(event.node)
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(
            [*argv, port],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env={**os.environ, "TZ": zone.key},
        )
        try:
            recorder = Recorder(process, said)
            yield MountedVolume(recorder, event.node, FILE_SYSTEM, DRIVER, (), device_read_only=False, refusal=REASON)
        finally:
            _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Nobody asks any more: the session is closed, and ended where that takes too long."""
    try:
        process.communicate(timeout=CLOSE_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
