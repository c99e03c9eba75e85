"""An S3 store on a port of its own, with versions and Object Lock, that lies in the ways it is told to.

Nothing is signed or checked for who asks; what it knows of S3 is what the station sends.
"""

import base64
import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree as ET

BUCKET = "evidence"
ENVIRONMENT = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "benchsecret", "AWS_REGION": "us-east-1"}
LEAST_PART_BYTES = 5 << 20
"""Of all parts but the last."""
XML = '<?xml version="1.0" encoding="UTF-8"?>'
NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'


class Lie(StrEnum):
    SAYS_NOTHING_OF_LOCKS = "GET ?object-lock answers 200 without the element"
    LOCKS_NOTHING = "HEAD shows neither mode nor date"
    LOCKS_ONLY_PARTS = "an object that was put in one piece gets no lock"
    NO_MODE = "HEAD shows no mode"
    GOVERNANCE = "HEAD shows a mode that its owner can lift"
    NO_DATE = "HEAD shows no date"
    BAD_DATE = "HEAD shows a date that is none"
    SHORTER = "HEAD shows an earlier date"
    OVER = "HEAD shows a date that is over"
    NO_SIZE = "HEAD shows no size"
    OTHER_SIZE = "HEAD shows another size"
    OTHER_SHA256 = "HEAD shows another SHA-256"
    NO_VERSION = "HEAD shows no version"
    HIDES = "HEAD of evidence answers 403"
    FLIPS = "one bit of what was written is another"
    TRUNCATES = "the last byte of what was written is gone"
    TAKES_WRONG = "a wrong SHA-256 is taken"
    DROPS_WRONG = "a wrong SHA-256 is answered with 200, and nothing is kept"
    REFUSES_AND_KEEPS = "a wrong SHA-256 is refused, and the object is there"
    SHORTENS = "retention can be shortened"
    OVERWRITES = "PUT ?retention answers 200 and its XML is the object"
    DELETES = "a locked version goes with DELETE"
    DOWN = "every answer is 503"


@dataclass
class Version:
    data: bytes
    until: datetime | None
    sha256: str = ""


@dataclass
class S3Store:
    """What the server holds; ``lies`` may change at any time."""

    days: int = 30
    lies: set[Lie] = field(default_factory=set)
    keys: dict[str, list[Version | None]] = field(default_factory=dict)
    """Key → its versions, the newest last; None where a delete marker stands, or a version was removed."""
    uploads: dict[str, dict[int, bytes]] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)
    endpoint: str = ""

    def keep(self, key: str, data: bytes, *, parts: bool) -> Version:
        locked = parts or Lie.LOCKS_ONLY_PARTS not in self.lies
        if Lie.FLIPS in self.lies and data:
            data = bytes([data[0] ^ 1]) + data[1:]
        if Lie.TRUNCATES in self.lies:
            data = data[:-1]
        until = datetime.now(UTC) + timedelta(days=self.days) if locked else None
        version = Version(data, until)
        self.keys.setdefault(key, []).append(version)
        return version

    def find(self, key: str, version: str) -> tuple[str, Version | None]:
        versions = self.keys.get(key, [])
        number = int(version) if version else len(versions) - 1
        return str(number), versions[number] if 0 <= number < len(versions) else None

    def newest(self, ending: str) -> Version:
        """The newest version of the one key that ends so."""
        [found] = [versions[-1] for key, versions in self.keys.items() if key.endswith(ending)]
        assert found is not None
        return found


@contextmanager
def s3_store() -> Iterator[S3Store]:
    """Runs while this lasts."""
    store = S3Store()

    class Handler(_Handler):
        held = store

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    store.endpoint = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    held: S3Store

    def do_PUT(self) -> None:
        body, key, query = self._request()
        if "retention" in query:
            self._retain(key, query, body)
        elif "partNumber" in query:
            self.held.uploads[query["uploadId"]][int(query["partNumber"])] = body
            self._answer(200, {"ETag": f'"{query["partNumber"]}"'})
        else:
            self._put(key, body)

    def do_POST(self) -> None:
        _, key, query = self._request()
        if "uploads" in query:
            number = str(len(self.held.uploads))
            self.held.uploads[number] = {}
            self._answer(200, xml=f"<InitiateMultipartUploadResult {NAMESPACE}><UploadId>{number}</UploadId>", end=True)
            return
        parts = self.held.uploads.pop(query["uploadId"])
        pieces = [data for _, data in sorted(parts.items())]
        if any(len(piece) < LEAST_PART_BYTES for piece in pieces[:-1]):
            self._refuse(400, "EntityTooSmall")
            return
        self.held.keep(key, b"".join(pieces), parts=len(pieces) > 1)
        self._answer(200, xml=f'<CompleteMultipartUploadResult {NAMESPACE}><ETag>"x"</ETag>', end=True)

    def do_GET(self) -> None:
        _, key, query = self._request()
        if "object-lock" in query:
            enabled = "<ObjectLockEnabled>Enabled</ObjectLockEnabled>"
            said = "" if Lie.SAYS_NOTHING_OF_LOCKS in self.held.lies else enabled
            self._answer(200, xml=f"<ObjectLockConfiguration {NAMESPACE}>{said}", end=True)
            return
        if "list-type" in query:
            self._answer(200, xml=f"<ListBucketResult {NAMESPACE}>{self._listed(query.get('prefix', ''))}", end=True)
            return
        number, version = self.held.find(key, query.get("versionId", ""))
        if version is None:
            self._refuse(404, "NoSuchKey")
        else:
            self._answer(200, {"x-amz-version-id": number, **_common(version)}, version.data)

    def do_HEAD(self) -> None:
        _, key, query = self._request()
        number, version = self.held.find(key, query.get("versionId", ""))
        if version is None or (Lie.HIDES in self.held.lies and "x-amz-checksum-mode" in self.headers):
            self.send_response(404 if version is None else 403)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if "x-amz-checksum-mode" not in self.headers:  # obstore's own HEAD, which asks for no more than a size
            shown = {**_common(version), "Content-Length": str(len(version.data))}
        else:
            shown = {name: text for name, text in self._shown(number, version).items() if text}
        self.send_response(200)
        for name, text in shown.items():
            self.send_header(name, text)
        self.end_headers()

    def do_DELETE(self) -> None:
        _, key, query = self._request()
        number, version = self.held.find(key, query.get("versionId", ""))
        if "versionId" not in query:
            self.held.keys.setdefault(key, []).append(None)
        elif version and version.until and Lie.DELETES not in self.held.lies:
            self._refuse(403, "AccessDenied")
            return
        else:
            self.held.keys[key][int(number)] = None
        self._answer(204)

    def _listed(self, prefix: str) -> str:
        when = "<LastModified>2026-11-25T12:00:00.000Z</LastModified><ETag>x</ETag>"
        newest = {key: versions[-1] for key, versions in self.held.keys.items() if key.startswith(prefix)}
        return "".join(
            f"<Contents><Key>{key}</Key>{when}<Size>{len(version.data)}</Size></Contents>"
            for key, version in newest.items()
            if version
        )

    def _shown(self, number: str, version: Version) -> dict[str, str]:
        lies, size, until = self.held.lies, len(version.data), version.until
        if Lie.SHORTER in lies and until:
            until -= timedelta(days=20)
        if Lie.OVER in lies:
            until = datetime.now(UTC) - timedelta(seconds=1)
        locked = until is not None and Lie.LOCKS_NOTHING not in lies
        date = until.isoformat().replace("+00:00", "Z") if until and Lie.NO_DATE not in lies else ""
        mode = "GOVERNANCE" if Lie.GOVERNANCE in lies else "COMPLIANCE"
        other = hashlib.sha256(b"other").digest() if Lie.OTHER_SHA256 in lies else b""
        return {
            **_common(version),
            "Content-Length": "" if Lie.NO_SIZE in lies else str(size + (Lie.OTHER_SIZE in lies)),
            "x-amz-version-id": "" if Lie.NO_VERSION in lies else number,
            "x-amz-object-lock-mode": mode if locked and Lie.NO_MODE not in lies else "",
            "x-amz-object-lock-retain-until-date": ("soon" if Lie.BAD_DATE in lies else date) if locked else "",
            "x-amz-checksum-sha256": base64.b64encode(other).decode() if other else version.sha256,
        }

    def _put(self, key: str, body: bytes) -> None:
        stated = self.headers.get("x-amz-checksum-sha256", "")
        wrong = bool(stated) and base64.b64decode(stated) != hashlib.sha256(body).digest()
        if wrong and Lie.DROPS_WRONG in self.held.lies:
            self._answer(200, {"ETag": '"x"'})
            return
        if wrong and not self.held.lies & {Lie.TAKES_WRONG, Lie.REFUSES_AND_KEEPS}:
            self._refuse(400, "BadDigest")
            return
        self.held.keep(key, body, parts=False).sha256 = stated
        if wrong and Lie.REFUSES_AND_KEEPS in self.held.lies:
            self._refuse(400, "BadDigest")
        else:
            self._answer(200, {"ETag": '"x"'})

    def _retain(self, key: str, query: dict[str, str], body: bytes) -> None:
        _, version = self.held.find(key, query.get("versionId", ""))
        if Lie.OVERWRITES in self.held.lies:
            self.held.keys[key][int(query.get("versionId", "-1"))] = Version(body, None)
        elif Lie.SHORTENS in self.held.lies and version:
            found = ET.fromstring(body).iter()  # noqa: S314  # a request of our own
            version.until = datetime.fromisoformat(next(e.text or "" for e in found if "RetainUntil" in e.tag))
        else:
            self._refuse(403, "AccessDenied")
            return
        self._answer(200)

    def _request(self) -> tuple[bytes, str, dict[str, str]]:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        query = {name: values[-1] for name, values in parse_qs(parts.query, keep_blank_values=True).items()}
        self.held.calls.append(f"{self.command} {self.path}")
        return body, unquote(parts.path).removeprefix(f"/{BUCKET}").lstrip("/"), query

    def parse_request(self) -> bool:
        parsed = super().parse_request()
        if parsed and Lie.DOWN in self.held.lies:
            self._request()
            self._refuse(503, "ServiceUnavailable")
            return False
        return parsed

    def _refuse(self, status: int, code: str) -> None:
        self._answer(status, xml=f"<Error><Code>{code}</Code><Message>no</Message>", end=True)

    def _answer(
        self, status: int, headers: dict[str, str] | None = None, body: bytes = b"", *, xml: str = "", end: bool = False
    ) -> None:
        if end:
            body = f"{XML}{xml}</{xml[1:].split(maxsplit=1)[0].split('>', maxsplit=1)[0]}>".encode()
        self.send_response(status)
        for name, text in (headers or {}).items():
            self.send_header(name, text)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


def _common(_version: Version) -> dict[str, str]:
    return {"ETag": '"x"', "Last-Modified": "Wed, 25 Nov 2026 12:00:00 GMT"}
