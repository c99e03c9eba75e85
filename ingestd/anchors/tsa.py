"""RFC 3161: asking a time-stamping authority, and judging what it answers. The only module that imports the client.

Trust is ours: the authority's certificate and its root come from the configuration, never from the system's store, and
the certificate needs the critical extended key usage timeStamping (RFC 3161 §2.3). A certificate that expired since
does not spoil a token: it is judged at the time the token states.
"""

import ssl
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, Protocol

import httpx
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from rfc3161_client import (
    TimestampRequestBuilder,
    TimeStampResponse,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)
from rfc3161_client.base import HashAlgorithm

from ingestd.errors import AnchorError, ConfigError, TokenError
from ingestd.logfiles import make_dirs, replace_file

MAX_REPLY_BYTES: Final = 262_144
"""A reply with a chain of certificates has a few thousand bytes; more is refused."""
_QUERY: Final = "application/timestamp-query"
_REPLY: Final = "application/timestamp-reply"
_TIMEOUT_S: Final = 10.0
_IN_ALL_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Trust:
    """The certificates by which one authority's tokens are judged."""

    certificate: x509.Certificate
    roots: tuple[x509.Certificate, ...]
    intermediates: tuple[x509.Certificate, ...] = ()

    def check(self, token: bytes, data: bytes, nonce: int | None = None) -> int:
        """When this authority vouched for exactly ``data``, in milliseconds; raises ``TokenError``."""
        response = _decoded(token)
        builder = VerifierBuilder(
            tsa_certificate=self.certificate,
            roots=list(self.roots),
            intermediates=list(self.intermediates),
            nonce=nonce,
        )
        try:
            builder.build().verify_message(response, data)
            return _utc_ms(response.tst_info.gen_time)
        except VerificationError as error:
            raise TokenError(f"the token does not vouch for this checkpoint: {error}") from error
        except _UNREADABLE as error:
            raise TokenError(f"not a readable RFC 3161 token: {error}", "unparsable") from error


class Tsa(Protocol):
    """One authority, however it is reached."""

    name: str
    trust: Trust

    def ask(self, size: int, data: bytes) -> bytes | None:
        """Its token over ``data``, judged already; None when the answer will come later (``replies``).

        Raises ``AnchorError`` when it did not answer, ``TokenError`` when the answer does not hold.
        """
        ...

    def asked_ms(self, size: int) -> int | None:
        """When it was asked about a checkpoint of at least ``size`` and has not answered yet, or None."""
        ...

    def replies(self) -> Iterator[tuple[int, bytes]]:
        """Answers that came for earlier questions, not judged yet: size and token."""
        ...

    def settle(self, size: int, *, accepted: bool) -> None:
        """The answer about ``size`` was kept, or refused and set aside."""
        ...


class HttpTsa:
    """An authority behind ``http://`` or ``https://`` (RFC 3161 §3.4). No proxy, no redirection, nothing else."""

    def __init__(self, name: str, url: str, trust: Trust, tls_ca: Path) -> None:
        self.name = name
        self.trust = trust
        self._url = url
        self._tls_ca = tls_ca

    def ask(self, size: int, data: bytes) -> bytes | None:  # noqa: ARG002  # the port's
        """Ask now; ``size`` plays no part in the protocol."""
        request = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).nonce(nonce=True)
        query = request.cert_request(cert_request=True).build()
        token = self._exchange(query.as_bytes())
        self.trust.check(token, data, query.nonce)
        return token

    def asked_ms(self, size: int) -> int | None:  # noqa: ARG002  # the port's
        """Never: an answer comes at once or not at all."""
        return None

    def replies(self) -> Iterator[tuple[int, bytes]]:
        """None: an answer comes at once or not at all."""
        return iter(())

    def settle(self, size: int, *, accepted: bool) -> None:
        """Nothing lies about."""

    def _exchange(self, query: bytes) -> bytes:
        try:
            with (
                httpx.Client(verify=tls(self._url, self._tls_ca), trust_env=False, timeout=_TIMEOUT_S) as client,
                client.stream("POST", self._url, content=query, headers={"Content-Type": _QUERY}) as reply,
            ):
                kind = reply.headers.get("Content-Type", "").partition(";")[0].strip()
                if reply.status_code != httpx.codes.OK or kind != _REPLY:
                    raise AnchorError(f"{self.name}: {self._url} answered {reply.status_code} {kind or 'nothing'}")
                return self._bounded(reply)
        except (httpx.HTTPError, httpx.InvalidURL, OSError) as error:
            why = str(error) or type(error).__name__
            raise AnchorError(f"{self.name}: {self._url} did not answer: {why}") from error

    def _bounded(self, reply: httpx.Response) -> bytes:
        until, body = time.monotonic() + _IN_ALL_S, b""
        for part in reply.iter_bytes():
            body += part
            if len(body) > MAX_REPLY_BYTES or time.monotonic() > until:
                raise AnchorError(f"{self.name}: {self._url}: the answer is too large or too slow")
        return body


class FileTsa:
    """An authority that no wire reaches: questions lie in a folder as ``.tsq``, somebody brings the ``.tsr``.

    ``openssl ts -reply -queryfile X.tsq -out X.tsr`` answers one. The question carries no nonce: the checkpoint in it
    is unique, and an older token over the same bytes would prove more, not less.
    """

    def __init__(self, name: str, drop: Path, trust: Trust) -> None:
        self.name = name
        self.trust = trust
        self._drop = drop

    def ask(self, size: int, data: bytes) -> bytes | None:
        """Leave the question; the answer comes later."""
        request = TimestampRequestBuilder().data(data).hash_algorithm(HashAlgorithm.SHA256).nonce(nonce=False)
        query = request.cert_request(cert_request=True).build().as_bytes()
        try:
            make_dirs(self._drop)
            replace_file(self._path(size, "tsq"), query)
        except OSError as error:
            raise AnchorError(f"{self.name}: {self._drop} cannot be written: {error.strerror}") from error
        return None

    def asked_ms(self, size: int) -> int | None:
        """When the newest open question of at least ``size`` was left."""
        open_questions = (path for path in self._found("tsq") if self._size(path) >= size)
        return max((path.stat().st_mtime_ns // 1_000_000 for path in open_questions), default=None)

    def replies(self) -> Iterator[tuple[int, bytes]]:
        """Answers that lie in the folder. Raises ``AnchorError`` when one cannot be read."""
        for path in self._found("tsr"):
            try:
                with path.open("rb") as file:
                    yield self._size(path), file.read(MAX_REPLY_BYTES + 1)
            except OSError as error:
                raise AnchorError(f"{self.name}: {path} cannot be read: {error.strerror}") from error

    def settle(self, size: int, *, accepted: bool) -> None:
        """Question and answer leave the folder; a refused answer stays beside it as ``.refused``."""
        answer = self._path(size, "tsr")
        if accepted:
            answer.unlink(missing_ok=True)
        else:
            answer.replace(self._path(size, "refused"))
        self._path(size, "tsq").unlink(missing_ok=True)

    def _path(self, size: int, suffix: str) -> Path:
        return self._drop / f"{self.name}-{size}.{suffix}"

    def _found(self, suffix: str) -> list[Path]:
        found = self._drop.glob(f"{self.name}-*.{suffix}") if self._drop.is_dir() else iter(())
        return sorted((path for path in found if self._size(path) >= 0), key=self._size)

    def _size(self, path: Path) -> int:
        digits = path.stem.removeprefix(f"{self.name}-")
        return int(digits) if digits.isdecimal() else -1


def load_trust(name: str, certificate: Path, ca: Path) -> Trust:
    """The certificates of one authority. Raises ``ConfigError`` when a file is not what it should be."""
    [*signing] = _certificates(name, certificate)
    if len(signing) != 1:
        raise ConfigError(f"anchors.tsa {name}: {certificate}: exactly one certificate is needed, the one that signs")
    chain = _certificates(name, ca)
    roots = tuple(one for one in chain if one.issuer == one.subject)
    if not roots:
        raise ConfigError(f"anchors.tsa {name}: {ca}: a root certificate (issued by itself) is needed")
    return Trust(signing[0], roots, tuple(one for one in chain if one not in roots))


def stated_ms(token: bytes) -> int:
    """When a token says that it was made, without judging it. Raises ``TokenError``."""
    try:
        return _utc_ms(_decoded(token).tst_info.gen_time)
    except _UNREADABLE as error:
        raise TokenError(f"not a readable RFC 3161 token: {error}", "unparsable") from error


def tls(url: str, ca: Path | None) -> ssl.SSLContext | bool:
    """How the server behind ``url`` is known: by ``ca`` alone, where the connection is TLS at all."""
    return ssl.create_default_context(cafile=ca) if url.startswith("https://") else False


_UNREADABLE: Final = (ValueError, TypeError, KeyError, x509.InvalidVersion, UnsupportedAlgorithm)


def _decoded(token: bytes) -> TimeStampResponse:
    try:
        response = decode_timestamp_response(token)
        granted = response.status == 0
    except _UNREADABLE as error:
        raise TokenError(f"not an RFC 3161 reply: {error}", "unparsable") from error
    if not granted:
        raise TokenError(f"the authority refused: status {response.status} {' '.join(response.status_string)}")
    return response


def _utc_ms(moment: datetime) -> int:
    return int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp() * 1000)


def _certificates(name: str, path: Path) -> Sequence[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"anchors.tsa {name}: {path}: cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"anchors.tsa {name}: {path}: certificates in PEM are needed") from error
