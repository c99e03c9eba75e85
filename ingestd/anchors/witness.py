"""The witness: a second organisation that remembers how far the centre's log had grown, and refuses another past.

It needs nothing of the centre but its vkey. What it vouched for is durable *before* it signs, so that no crash and no
copy of its answer lets it vouch for two histories. What it refused is kept too: two notes that the same key signed and
that contradict each other prove the fork to anybody.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from custody.checkpoint import COSIGNATURE, NoteKey, SignedCheckpoint, cosign, parse_note
from custody.errors import EvidenceError
from custody.signer import Signer, VerifyKey
from ingestd.anchors.decide import witness_accepts
from ingestd.anchors.source import Source
from ingestd.errors import ConfigError, StateError, TokenError
from ingestd.logfiles import exclusive, make_dirs, replace_file


@dataclass(frozen=True, slots=True)
class Vouched:
    """What the witness just signed: ``before`` is the size it had vouched for last, None the first time."""

    size: int
    before: int | None
    note: bytes


class Witness:
    """One witness over one log; its memory is the folder ``state``: ``latest``, ``vouched/``, ``refused/``."""

    def __init__(self, state: Path, centre: NoteKey, name: str, signer: Signer) -> None:
        """Raises ``ConfigError`` when the witness would sign with the centre's own key."""
        self._state = state
        self._centre = centre
        self._name = name
        self._signer = signer
        if VerifyKey(signer.public_key()).raw == centre.key.raw:
            raise ConfigError("--key: a witness has a key of its own, not the centre's")

    def key(self) -> NoteKey:
        """The witness's public key, which the centre lists in ``anchors.witnesses``."""
        return NoteKey(self._name, VerifyKey(self._signer.public_key()), COSIGNATURE)

    def vouch(self, source: Source, utc_s: int) -> Vouched:
        """Read the newest checkpoint, compare, remember, sign.

        Raises ``TokenError``: ``log-forked``, ``log-truncated``, ``sig-bad`` and the like when it may not be signed,
        ``nothing-checked`` when a proof is not to be had; ``AnchorError`` when the source does not answer.
        """
        make_dirs(self._state)
        with exclusive(self._state / "lock"):
            last = self._last()
            note = source.checkpoint()
            try:
                seen = self._ours(note)
                witness_accepts(last.checkpoint if last else None, seen.checkpoint, self._proof(source, last, seen))
            except TokenError:
                self._keep("refused", hashlib.sha256(note).hexdigest(), note)
                raise
            replace_file(self._state / "latest", note)
            signed = cosign(seen, self._name, self._signer, utc_s)
            self._keep("vouched", str(seen.checkpoint.size), signed)
            return Vouched(seen.checkpoint.size, last.checkpoint.size if last else None, signed)

    def _last(self) -> SignedCheckpoint | None:
        path = self._state / "latest"
        if not path.exists():
            if (self._state / "vouched").is_dir():
                raise StateError(f"{path} is gone, but this witness has vouched before: restore it from {self._state}")
            return None
        try:
            return self._ours(path.read_bytes())
        except TokenError as error:
            raise StateError(f"{path}: the memory of this witness cannot be used: {error}") from error

    def _ours(self, note: bytes) -> SignedCheckpoint:
        """A checkpoint that the centre's key signed."""
        try:
            signed = parse_note(note)
            signed.verify([self._centre])
        except EvidenceError as error:
            raise TokenError(str(error), error.finding) from error
        if signed.checkpoint.origin != self._centre.name:
            raise TokenError(f"the checkpoint is of {signed.checkpoint.origin}, not {self._centre.name}", "log-forked")
        return signed

    def _proof(self, source: Source, last: SignedCheckpoint | None, seen: SignedCheckpoint) -> Sequence[bytes]:
        """The proof, where one is needed."""
        if last is None or not 0 < last.checkpoint.size < seen.checkpoint.size:
            return ()
        return source.consistency(last.checkpoint.size, seen.checkpoint.size)

    def _keep(self, folder: str, name: str, note: bytes) -> None:
        make_dirs(self._state / folder)
        replace_file(self._state / folder / name, note)
