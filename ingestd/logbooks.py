"""The centre's log and its mirrors of the stations' logs, opened when first needed.

After any failure the books are closed (``forget``) and opened anew, which is also what a restart does: one way back.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice

from custody.chain import Entry
from custody.checkpoint import SignedCheckpoint, cosign
from custody.envelope import open_envelope, verify
from custody.errors import EvidenceError
from custody.keyring import LogKeys
from custody.log import Log, LogFiles
from custody.record import Draft
from custody.signer import Ed25519Signer, Signer, VerifyKey
from ingestd.errors import MirrorError, StateError
from ingestd.verify import Station
from keystore import KeystoreError, OwnKeys
from keystore.succession import Holders

Files = Callable[[str], LogFiles]
"""The files of a log, by the name of who writes it: a station, or ``centre``."""


class Logbooks:
    """All logs of the centre. Not thread-safe: used inside a unit of work."""

    def __init__(  # noqa: PLR0913  # whose logs, who signs, where they lie
        self,
        origin: str,
        signer: Signer,
        stations: Mapping[str, Station],
        files: Files,
        second: Signer | None = None,
        reopen: Holders = lambda _keys: (),
    ) -> None:
        """``second`` is the SM2 signer of a centre log in profile ``gm``.

        ``stations`` are those that the configuration enrols. ``reopen`` finds the signers of keys that another process
        handed over to.
        """
        self._origin = origin
        self._files = files
        self._own = OwnKeys(files("centre"), origin, [signer, second] if second else [signer], reopen)
        self.configured = stations
        self.stations: Mapping[str, Station] = stations
        self.by_log: Mapping[str, Station] = {station.log: station for station in stations.values()}
        self._centre: Log | None = None
        self._mirrors: dict[str, Log] = {}
        self._damaged: dict[str, MirrorError] = {}

    @property
    def keyid_of(self) -> Callable[[int], str]:
        """Who signed an entry of the centre's log, by its number."""
        history = self.centre.history
        return lambda seq: history.at(seq).keyid

    @property
    def centre(self) -> Log:
        """The centre's own log."""
        if self._centre is None:
            with _as_state():
                first, *later = self._own.succession()
            self._centre = self._open("centre", self._origin, first.keys, later)
        return self._centre

    def learn(self, stations: Iterable[Station]) -> None:
        """These are enrolled, whatever the configuration says; mirrors that are open hear which keys may succeed."""
        known = {station.station: station for station in stations}
        self.stations = {**self.configured, **known}
        self.by_log = {station.log: station for station in self.stations.values()}
        for log, mirror in self._mirrors.items():
            mirror.approve(self.by_log[log].successors)

    def hand_over(self, signers: Sequence[Signer]) -> LogKeys:
        """From the next entry on, one that says so, ``signers`` may sign the centre's log; remembered beside it."""
        with _as_state():
            keys = self._own.add(signers)
            self.centre.approve(self._own.succession())
        return keys

    def signing(self) -> list[Signer]:
        """Those whose signatures the centre's log needs now. Raises ``StateError``."""
        with _as_state():
            return self._own.signers(self.centre.history.current)

    def mirror(self, station: Station) -> Log:
        """Our copy of a station's log. Raises ``MirrorError`` when it is not what the station signed."""
        if station.log in self._damaged:
            raise self._damaged[station.log]
        if station.log not in self._mirrors:
            self._mirrors[station.log] = self._open_mirror(station)
        return self._mirrors[station.log]

    def entry(self, station: Station, seq: int) -> Entry:
        """One entry of a mirror, read anew and signed by the station. Raises ``MirrorError`` when it is not there."""
        try:
            mirror = self.mirror(station)
            entry = mirror.entry(seq)
            verify(open_envelope(entry.data), mirror.history.at(seq).keys)
        except EvidenceError as error:
            raise self._condemned(station, f"entry {seq} of its mirror cannot be used: {error}") from error
        return entry

    def mirrored(self, station: Station, start: int, stop: int) -> list[Entry]:
        """Entries [start, stop) of a mirror. Raises ``MirrorError`` when they are not all there."""
        try:
            found = list(islice(self.mirror(station).entries(start), stop - start))
        except EvidenceError as error:
            raise self._condemned(station, f"entries from {start} on cannot be read: {error}") from error
        if len(found) < stop - start:
            raise self._condemned(station, f"its mirror ends before entry {stop}")
        return found

    def _open_mirror(self, station: Station) -> Log:
        try:
            return self._open(station.station, station.log, station.keys, station.successors)
        except StateError as error:
            raise self._condemned(station, str(error)) from error

    def _condemned(self, station: Station, why: str) -> MirrorError:
        """Remembered until the books are opened anew, so that the station stays set aside."""
        self._damaged[station.log] = MirrorError(f"{station.log}: {why}")
        return self._damaged[station.log]

    def _open(self, name: str, origin: str, keys: Collection[VerifyKey], successors: Iterable[LogKeys]) -> Log:
        try:
            return Log(self._files(name), origin, keys, successors)
        except EvidenceError as error:
            raise StateError(f"log {origin} cannot be opened ({error.finding}): {error}") from error

    def append(self, drafts: Sequence[Draft]) -> list[Entry]:
        """Seal drafts into the centre log, durably."""
        return self.centre.append(drafts, self.signing())

    def checkpoint(self) -> SignedCheckpoint:
        """Sign the centre log as it is, durably."""
        return self.centre.checkpoint(*self.signing())

    def refresh(self) -> None:
        """Read what another process wrote since."""
        if self._centre is not None:
            with _as_state():
                self._centre.approve(self._own.succession())
            self._centre.refresh()

    def forget(self) -> None:
        """Close everything; what is on disk is the truth."""
        self._centre = None
        self._mirrors.clear()
        self._damaged.clear()


@contextmanager
def _as_state() -> Iterator[None]:
    """Keys that are not there, or a file of keys that does not hold, stop the centre."""
    try:
        yield
    except KeystoreError as error:
        raise StateError(f"log {error}") from error


class Cosigner:
    """Cosigns the newest kept checkpoint of a station, once per checkpoint."""

    def __init__(self, name: str, signer: Ed25519Signer) -> None:
        self._name = name
        self._signer = signer
        self._done: dict[str, tuple[bytes, bytes]] = {}
        self.key = signer.verify_key()
        """The public half, which is nobody else's."""

    def cosigned(self, log: Log, now_ms: int) -> bytes:
        """The newest checkpoint of ``log`` with our cosignature; empty while it has none."""
        if log.latest is None:
            return b""
        note, cosigned = self._done.get(log.origin, (b"", b""))
        if note != log.latest.note:
            cosigned = cosign(log.latest, self._name, self._signer, now_ms // 1000)
            self._done[log.origin] = (log.latest.note, cosigned)
        return cosigned
