"""A program of its own: a recorder that speaks PTP or MTP, through libgphoto2. The only module that imports gphoto2.

``python -m station_agent.camera usb:BUS,DEV`` opens the recorder at this very port, writes one JSON line an entry and
an empty line, and then answers requests on standard input: a line ``NUMBER OFFSET SIZE`` asks for bytes of the
``NUMBER``-th line. An answer is a big-endian length and as many bytes; −1 stands before a line that says what is wrong.

Nothing here deletes, formats or sets anything. The protocol is parsed in C and talks to a stranger's device: what goes
wrong ends this process and not the station.
"""

import base64
import json
import resource
import struct
import sys
from collections.abc import Iterator
from typing import IO, Any, Final

import gphoto2 as gp

from station_agent.recorders import MAX_DEPTH

MAX_MEMORY_BYTES: Final = 6 << 30
"""A recorder without partial reads gives a clip of 4 GB at once."""
LENGTH: Final = struct.Struct(">i")
NORMAL: Final = gp.GP_FILE_TYPE_NORMAL


class Session:
    """The files of one camera, listed once and read in pieces."""

    def __init__(self, camera: Any) -> None:
        self._camera = camera
        self._places: list[tuple[str, str]] = []
        """Folder and name of each line."""
        self._held: tuple[int, Any] = (-1, None)
        """The file that was fetched as a whole. libgphoto2 frees its bytes with the last name that holds it."""

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every file, and every folder that cannot be read. A recorder's only storage is not named in the paths."""
        stores = [f"/{name}" for name in _names(self._camera.folder_list_folders("/"))]
        root = stores[0] if len(stores) == 1 and stores[0].startswith("/store_") else "/"
        for folder, name, facts in self._folder(root, 0):
            self._places.append((folder, name))
            path = f"{folder}/{name}".removeprefix(root).lstrip("/") if name else folder.removeprefix(root).lstrip("/")
            yield {"path": base64.b64encode(path.encode("utf-8", "surrogateescape")).decode(), **facts}

    def _folder(self, folder: str, depth: int) -> Iterator[tuple[str, str, dict[str, Any]]]:
        if depth > MAX_DEPTH:
            yield folder, "", {"refused": "nested-too-deep"}
            return
        try:
            files = sorted(_names(self._camera.folder_list_files(folder)))
            folders = sorted(_names(self._camera.folder_list_folders(folder)))
        except gp.GPhoto2Error:
            yield folder, "", {"refused": "unreadable-folder"}
            return
        for name in files:
            yield folder, name, self._facts(folder, name, twice=files.count(name) > 1)
        for name in folders:
            yield from self._folder(f"{folder.rstrip('/')}/{name}", depth + 1)

    def _facts(self, folder: str, name: str, *, twice: bool) -> dict[str, Any]:
        try:
            info = self._camera.file_get_info(folder, name).file
        except gp.GPhoto2Error:
            return {"refused": "unreadable-entry"}
        return {"size": info.size, "mtime_ns": info.mtime * 10**9, "refused": "ambiguous-name" if twice else ""}

    def read(self, number: int, offset: int, size: int) -> bytes:
        """Bytes of a file. Raises ``GPhoto2Error``, ``IndexError``."""
        folder, name = self._places[number]
        if self._held[0] != number:
            piece = bytearray(size)
            try:
                return bytes(piece[: self._camera.file_read(folder, name, NORMAL, offset, piece)])
            except gp.GPhoto2Error as error:
                if error.code != gp.GP_ERROR_NOT_SUPPORTED:
                    raise
            self._held = (-1, None)  # before the next one: two clips at once are not held
            self._held = (number, self._camera.file_get(folder, name, NORMAL))
        return bytes(memoryview(self._held[1].get_data_and_size())[offset : offset + size])


def connected(port: str) -> Any:
    """The camera at this port. Left to itself, libgphoto2 takes a mounted card before any camera."""
    if not port.startswith("usb:"):
        raise ValueError(f"{port} is no port of USB")
    ports, models = gp.PortInfoList(), gp.CameraAbilitiesList()
    ports.load()
    models.load()
    camera = gp.Camera()
    found = models.detect(ports)
    model = next((found.get_name(i) for i in range(found.count()) if found.get_value(i) == port), None)
    if model is None:
        raise ValueError(f"no camera that libgphoto2 knows is at {port}")
    camera.set_abilities(models[models.lookup_model(model)])
    camera.set_port_info(ports[ports.lookup_path(port)])
    camera.init()
    return camera


def answer(session: Session, asked: IO[bytes], said: IO[bytes]) -> None:
    """The listing, then one answer a request, until nobody asks any more."""
    for line in session.lines():
        said.write(json.dumps(line).encode() + b"\n")
    said.write(b"\n")
    said.flush()
    for request in asked:
        try:
            data = session.read(*map(int, request.split()))
        except (gp.GPhoto2Error, IndexError) as error:
            said.write(LENGTH.pack(-1) + str(error).replace("\n", " ").encode() + b"\n")
        else:
            said.write(LENGTH.pack(len(data)) + data)
        said.flush()


def _names(found: Any) -> list[str]:
    return [found.get_name(index) for index in range(found.count())]


def main() -> None:
    """Until standard input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    camera = connected(sys.argv[1])
    try:
        answer(Session(camera), sys.stdin.buffer, sys.stdout.buffer)
    finally:
        camera.exit()


if __name__ == "__main__":
    main()
