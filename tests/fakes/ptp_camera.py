"""A camera as python-gphoto2 shows one, that gives parts of files; libgphoto2's own virtual camera does not."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import SimpleNamespace


class Names:
    """A ``CameraList``."""

    def __init__(self, names: list[str]) -> None:
        self._names = names

    def count(self) -> int:
        return len(self._names)

    def get_name(self, index: int) -> str:
        return self._names[index]


@dataclass
class FakeCamera:
    """Folder → name → bytes. ``fetched`` are the files that were asked for as a whole."""

    folders: Mapping[str, Mapping[str, bytes]]
    fetched: list[str] = field(default_factory=list)

    def folder_list_files(self, folder: str) -> Names:
        return Names(list(self.folders.get(folder, {})))

    def folder_list_folders(self, folder: str) -> Names:
        below = folder.rstrip("/") + "/"
        return Names(
            sorted({path.removeprefix(below).split("/")[0] for path in self.folders if path.startswith(below)})
        )

    def file_get_info(self, folder: str, name: str) -> SimpleNamespace:
        return SimpleNamespace(file=SimpleNamespace(size=len(self.folders[folder][name]), mtime=0))

    def file_read(self, folder: str, name: str, _kind: int, offset: int, buffer: bytearray) -> int:
        piece = self.folders[folder][name][offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        return len(piece)

    def file_get(self, _folder: str, name: str, _kind: int) -> None:
        self.fetched.append(name)
