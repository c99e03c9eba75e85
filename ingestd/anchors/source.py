"""Where a witness reads the centre's checkpoint and the proof that the log only grew: a file, a folder or a URL."""

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Protocol

import httpx

from ingestd.anchors.tsa import tls
from ingestd.errors import AnchorError, TokenError

FILE_NAME: Final = "checkpoint.json"
"""Name of the publication in a folder."""
MAX_BYTES: Final = 16_777_216
_TIMEOUT_S: Final = 15.0


class Source(Protocol):
    """A place where the centre publishes."""

    def checkpoint(self) -> bytes:
        """The newest signed checkpoint. Raises ``AnchorError`` when there is no answer, ``TokenError`` for nonsense."""
        ...

    def consistency(self, start: int, stop: int) -> list[bytes]:
        """The proof between two sizes. Raises as above."""
        ...


class FileSource:
    """A publication in one file (``ingestd anchors publish``), for instance on a stick."""

    def __init__(self, path: Path) -> None:
        self._path = path / FILE_NAME if path.is_dir() else path
        self._content: Mapping[str, Any] | None = None

    def checkpoint(self) -> bytes:
        """The checkpoint in the file."""
        note = self._read().get("checkpoint")
        if not isinstance(note, str):
            raise TokenError(f"{self._path}: no checkpoint in it", "unparsable")
        return note.encode()

    def consistency(self, start: int, stop: int) -> list[bytes]:
        """The proof in the file; it leads to the checkpoint's size and to no other."""
        proofs = self._read().get("consistency")
        proof = proofs.get(str(start)) if isinstance(proofs, Mapping) else None
        if proof is None:
            why = f"{self._path}: no proof from {start} to {stop} in it; publish with --since {start}"
            raise TokenError(why, "nothing-checked")
        return _hashes(proof, str(self._path))

    def _read(self) -> Mapping[str, Any]:
        if self._content is None:
            try:
                with self._path.open("rb") as file:
                    self._content = _object(file.read(MAX_BYTES), str(self._path))
            except OSError as error:
                raise AnchorError(f"{self._path}: cannot be read: {error.strerror}") from error
        return self._content


class HttpSource:
    """The centre's own pages: ``/api/v1/log/checkpoint`` and ``/api/v1/log/consistency``."""

    def __init__(self, url: str, ca: Path | None = None) -> None:
        self._url = url.rstrip("/") + "/api/v1/log/"
        self._ca = ca

    def checkpoint(self) -> bytes:
        """The newest checkpoint."""
        return self._get("checkpoint")

    def consistency(self, start: int, stop: int) -> list[bytes]:
        """The proof between two sizes."""
        where = f"consistency?from={start}&to={stop}"
        return _hashes(_object(self._get(where), self._url + where).get("proof"), self._url + where)

    def _get(self, where: str) -> bytes:
        url = self._url + where
        try:
            with (
                httpx.Client(verify=tls(url, self._ca), trust_env=False, timeout=_TIMEOUT_S) as client,
                client.stream("GET", url) as reply,
            ):
                body = b""
                for part in reply.iter_bytes():
                    body += part
                    if len(body) > MAX_BYTES:
                        raise AnchorError(f"{url}: the answer is too large")
                if reply.status_code != httpx.codes.OK:
                    raise AnchorError(f"{url} answered {reply.status_code}")
                return body
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            raise AnchorError(f"{url} did not answer: {error or type(error).__name__}") from error


def open_source(where: str, ca: Path | None = None) -> Source:
    """A source by its name: ``http://…``, ``https://…``, a folder or a file."""
    return HttpSource(where, ca) if where.startswith(("http://", "https://")) else FileSource(Path(where))


def _object(data: bytes, where: str) -> Mapping[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise TokenError(f"{where}: not JSON: {error}", "unparsable") from error
    if not isinstance(value, dict):
        raise TokenError(f"{where}: a JSON object is needed", "unparsable")
    return value


def _hashes(value: object, where: str) -> list[bytes]:
    nodes: list[Any] = value if isinstance(value, list) else [None]
    try:
        return [base64.b64decode(node, validate=True) for node in nodes]
    except (TypeError, ValueError) as error:
        raise TokenError(f"{where}: a proof is a list of hashes in base64: {error}", "unparsable") from error
