"""What an S3 bucket shows of its objects, and the requests with which it is proved; through botocore.

obstore moves the evidence. It cannot ask for a version, send a wrong digest or try to shorten a retention, and signing
such requests is not ours to write; hence botocore, for these calls alone. ``shown`` is the one call that ever names
evidence: all others are for objects made for the proof, since a store that does not know them may take the XML of the
request for the object and answer 200.

An answer of the store, also a refusal, is an outcome. No answer is ``StoreError``.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session

from station_agent.erase import COMPLIANCE, Shown
from station_agent.errors import StoreError

ATTEMPTS: Final = 3
"""Tries within one call; whoever asked asks again later."""
TIMEOUT_S: Final = 20
REGION: Final = "us-east-1"
"""Where nobody names another, as with obstore."""


class Bucket:
    """Objects of ``s3://bucket/prefix``, under the names that ``EvidenceStore`` gives them.

    Credentials, endpoint and region come from where obstore takes them too. Raises ``StoreError`` only.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._bucket, _, prefix = url.removeprefix("s3://").strip("/").partition("/")
        self._prefix = f"{prefix}/" if prefix else ""
        self._client = _client(url)

    def locks(self) -> bool:
        """Whether the bucket says that Object Lock is enabled."""
        found = self._answer("get_object_lock_configuration") or {}
        return _fields(found, "ObjectLockConfiguration").get("ObjectLockEnabled") == "Enabled"

    def shown(self, name: str, version: str = "") -> Shown | None:
        """What a HEAD shows; None when the store says that there is nothing, or will not say."""
        answer = self._answer("head_object", name, version, ChecksumMode="ENABLED")
        return None if answer is None else shown_in(answer["ResponseMetadata"]["HTTPHeaders"])

    def digest(self, name: str, version: str) -> str:
        """SHA-256 of one version, read in full; empty when it is not given out."""
        answer = self._answer("get_object", name, version)
        if answer is None:
            return ""
        with self._reached():
            return hashlib.sha256(answer["Body"].read()).hexdigest()

    def accepts(self, name: str, data: bytes, sha256: str) -> bool:
        """Whether a PUT with this digest (hex) is taken."""
        checksum = base64.b64encode(bytes.fromhex(sha256)).decode()
        return self._answer("put_object", name, Body=data, ChecksumSHA256=checksum) is not None

    def shorten(self, name: str, version: str, until_ms: int) -> None:
        """Ask for an earlier date. What came of it is for ``shown`` and ``digest`` to tell."""
        until = datetime.fromtimestamp(until_ms // 1000, UTC)
        self._answer("put_object_retention", name, version, Retention={"Mode": COMPLIANCE, "RetainUntilDate": until})

    def delete(self, name: str, version: str = "") -> None:
        """Ask for the removal; of a version, or of what has the name now."""
        self._answer("delete_object", name, version)

    def _answer(self, call: str, name: str = "", version: str = "", **arguments: Any) -> Any:
        """The store's answer, or None where it refused."""
        place = {"Key": self._prefix + name} if name else {}
        which = {"VersionId": version} if version else {}
        with self._reached():
            try:
                return getattr(self._client, call)(Bucket=self._bucket, **place, **which, **arguments)
            except ClientError as error:
                status = error.response["ResponseMetadata"]["HTTPStatusCode"]
                if status >= 500 and status != 501:  # noqa: PLR2004  # RFC 9110 §15.6: 501 is an answer, others pass
                    raise
                return None

    @contextmanager
    def _reached(self) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError, OSError, ValueError) as error:
            raise StoreError(f"{self._url}: {' '.join(str(error).split()) or type(error).__name__}") from error


def shown_in(headers: Mapping[str, str]) -> Shown:
    """What the headers of a HEAD show (names in lower case). What is absent or cannot be read is absent. Pure."""
    size = headers.get("content-length", "")
    return Shown(
        int(size) if size.isascii() and size.isdigit() else None,
        _sha256(headers.get("x-amz-checksum-sha256", "")),
        headers.get("x-amz-object-lock-mode", ""),
        _ms(headers.get("x-amz-object-lock-retain-until-date", "")),
        headers.get("x-amz-version-id", "").removeprefix("null"),  # "null": an object of a bucket without versions
    )


def _sha256(text: str) -> str:
    """Hex of a checksum in base64; that of a multipart upload, ``…-3``, is of its parts and says nothing here."""
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return ""
    return digest.hex() if len(digest) == hashlib.sha256().digest_size else ""


def _ms(text: str) -> int | None:
    """Milliseconds since 1970 of a date in ISO 8601 or as in HTTP; None for anything else and where no zone is said."""
    for parse in (datetime.fromisoformat, parsedate_to_datetime):
        try:
            found = parse(text)
        except ValueError:
            continue
        return int(found.timestamp() * 1000) if found.tzinfo else None
    return None


def _client(url: str) -> Any:
    endpoint = os.environ.get("AWS_ENDPOINT_URL") or os.environ.get("AWS_ENDPOINT")
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION
    settings = Config(
        s3={"addressing_style": "path"},
        retries={"total_max_attempts": ATTEMPTS, "mode": "standard"},
        connect_timeout=TIMEOUT_S,
        read_timeout=TIMEOUT_S,
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
    )
    try:
        session = Session()
        # A date that is none is absent, like one that is not there; botocore would refuse the whole answer.
        session.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=str)
        return session.create_client("s3", region_name=region, endpoint_url=endpoint, config=settings)
    except (BotoCoreError, ValueError) as error:
        raise StoreError(f"{url}: {error}") from error


def _fields(found: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = found.get(name)
    return value if isinstance(value, Mapping) else {}
