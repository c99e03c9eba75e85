"""Which physical port is which bay. A bay is a place in the dock that an officer can point at."""

from collections.abc import Mapping
from fnmatch import fnmatchcase


class BayMap:
    """Bay numbers by patterns on udev's ``ID_PATH``; the first pattern in order of bay number that matches wins."""

    def __init__(self, patterns: Mapping[int, str]) -> None:
        self._patterns = sorted(patterns.items())

    @property
    def numbers(self) -> tuple[int, ...]:
        """All bays of this dock, ascending."""
        return tuple(bay for bay, _ in self._patterns)

    def bay_of(self, id_path: str) -> int | None:
        """The bay of a port; None for a port that belongs to no bay, e.g. the station's own disk."""
        return next((bay for bay, pattern in self._patterns if id_path and fnmatchcase(id_path, pattern)), None)
