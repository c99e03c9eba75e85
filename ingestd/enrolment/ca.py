"""The agency's own certification authority: issues what a request asks for, and lists what was revoked (RFC 5280).

Its key lives where any key may (``keystore``). It signs at enrolment and revocation only, so it is best kept in a token
that two people fetch together. No entry of any log rests on a certificate: these serve TLS, and tools that expect them.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization

from custody.enrolment import Enrolment
from custody.signer import Signer, verify_key
from ingestd.errors import EnrolmentError
from ingestd.index.rows import Row
from keystore import KeystoreError
from keystore.certificates import (
    CLIENT_USAGE,
    CUSTODY_USAGE,
    SigningKey,
    digest_for,
    is_about,
    load_certificate,
    name_of,
    raw_of,
    read_certificate,
    require_client,
    require_custody,
    signing_key,
    usages,
)

CA_YEARS: Final = 20
VALID_DAYS: Final = 400
"""A year and a month: keys follow each other yearly."""
CRL_DAYS: Final = 90
"""A list of revocations says that the next one comes within this time."""
CLOCKS_DISAGREE: Final = timedelta(hours=1)
"""A certificate counts from a little before now."""
REASONS: Final[Mapping[str, x509.ReasonFlags]] = {
    reason.value: reason
    for reason in (
        x509.ReasonFlags.key_compromise,
        x509.ReasonFlags.superseded,
        x509.ReasonFlags.cessation_of_operation,
        x509.ReasonFlags.affiliation_changed,
    )
}
"""Reason codes of a revocation list by their names in RFC 5280 §5.3.1."""
_PEM: Final = serialization.Encoding.PEM


@dataclass(frozen=True, slots=True)
class Ca:
    """The authority with its key at hand."""

    certificate: x509.Certificate
    key: SigningKey

    @classmethod
    def open(cls, signer: Signer, certificate: Path) -> "Ca":
        """Raises ``KeystoreError`` when the certificate is not about this key."""
        found = read_certificate(certificate)
        if not is_about(found, verify_key(signer)):
            raise KeystoreError(f"{certificate}: this is the certificate of another key than the CA's")
        return cls(found, signing_key(signer))

    @classmethod
    def create(cls, signer: Signer, common: str, now: datetime) -> "Ca":
        """A new authority that vouches for itself. Raises ``KeystoreError`` for a key that signs no certificates."""
        key, name = signing_key(signer), name_of(common)
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(now - CLOCKS_DISAGREE)
        builder = builder.not_valid_after(now + timedelta(days=366 * CA_YEARS))
        builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        builder = builder.add_extension(_key_usage(authority=True), critical=True)
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        return cls(builder.sign(key, digest_for(key)), key)

    def pem(self) -> str:
        """The authority's certificate."""
        return self.certificate.public_bytes(_PEM).decode("ascii")

    def issue(self, enrolment: Enrolment, now: datetime) -> dict[str, str]:
        """What the request asks for, PEM by name, with the authority's own. ``check_requests`` came before."""
        issued = {"ca": self.pem()}
        for name, text, usage in _asked(enrolment):
            certificate = self._sign(_request(name, text), enrolment.station, usage, now)
            issued[name] = certificate.public_bytes(_PEM).decode("ascii")
        return issued

    def crl(self, rows: Sequence[Row], now: datetime) -> bytes:
        """The list of revoked certificates in PEM; its number is the time."""
        builder = x509.CertificateRevocationListBuilder().issuer_name(self.certificate.subject)
        builder = builder.last_update(now).next_update(now + timedelta(days=CRL_DAYS))
        builder = builder.add_extension(x509.CRLNumber(int(now.timestamp())), critical=False)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        for row in rows:
            for certificate in certificates_of(row):
                if row["revoked_ms"] is not None and certificate.issuer == self.certificate.subject:
                    builder = builder.add_revoked_certificate(_revoked(certificate, row, now))
        return builder.sign(self.key, digest_for(self.key)).public_bytes(_PEM)

    def _sign(
        self, request: x509.CertificateSigningRequest, station: str, usage: x509.ObjectIdentifier, now: datetime
    ) -> x509.Certificate:
        """The subject is the station's name and nothing that the request says."""
        builder = x509.CertificateBuilder().subject_name(name_of(station)).issuer_name(self.certificate.subject)
        builder = builder.public_key(request.public_key()).serial_number(x509.random_serial_number())
        until = min(now + timedelta(days=VALID_DAYS), self.certificate.not_valid_after_utc)
        builder = builder.not_valid_before(now - CLOCKS_DISAGREE).not_valid_after(until)
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_key_usage(authority=False), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=usage == CUSTODY_USAGE)
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        builder = builder.add_extension(issuer, critical=False)
        subject = x509.SubjectKeyIdentifier.from_public_key(request.public_key())
        builder = builder.add_extension(subject, critical=False)
        return builder.sign(self.key, digest_for(self.key))


def check_requests(enrolment: Enrolment) -> None:
    """Whether each CSR is of its kind and about the right key. Raises ``EnrolmentError`` with one sentence."""
    log_keys = {(key.suite, key.raw) for key in enrolment.keys.keys}
    for name, text, _ in _asked(enrolment):
        request = _request(name, text)
        try:
            if name == "custody":
                require_custody(request, f"csr.{name}")
            else:
                require_client(request, f"csr.{name}")
        except KeystoreError as error:
            raise EnrolmentError(str(error)) from error
        if usages(request) is None:
            raise EnrolmentError(f"csr.{name}: it does not say what the certificate is for")
        about = raw_of(request)
        if name == "custody" and about != (enrolment.keys.note.key.suite, enrolment.keys.note.key.raw):
            raise EnrolmentError("csr.custody: it is about another key than the one that is to sign the log")
        if name == "mqtt" and about in log_keys:
            raise EnrolmentError("csr.mqtt: the key of a log is not the key of a connection; two keys are needed")


def certificates_of(row: Row) -> Iterator[x509.Certificate]:
    """What was issued for a key."""
    for name, pem in json.loads(row["certificates"]).items():
        if name != "ca":
            yield load_certificate(str(pem).encode(), f"{row['log']} {name}")


def _asked(enrolment: Enrolment) -> Iterator[tuple[str, str, x509.ObjectIdentifier]]:
    asked = (("custody", enrolment.custody_csr, CUSTODY_USAGE), ("mqtt", enrolment.mqtt_csr, CLIENT_USAGE))
    return ((name, text, usage) for name, text, usage in asked if text)


def _request(name: str, text: str) -> x509.CertificateSigningRequest:
    try:
        request = x509.load_pem_x509_csr(text.encode())
        if request.is_signature_valid:
            return request
    except (ValueError, InvalidSignature) as error:
        raise EnrolmentError(f"csr.{name}: not a certificate signing request in PEM: {error}") from error
    raise EnrolmentError(f"csr.{name}: it is not signed by the key that it is about")


def _revoked(certificate: x509.Certificate, row: Row, now: datetime) -> x509.RevokedCertificate:
    since = datetime.fromtimestamp(row["revoked_ms"] // 1000, UTC)
    builder = x509.RevokedCertificateBuilder().serial_number(certificate.serial_number).revocation_date(now)
    reason = REASONS.get(row["revoked_code"], x509.ReasonFlags.unspecified)
    builder = builder.add_extension(x509.CRLReason(reason), critical=False)
    return builder.add_extension(x509.InvalidityDate(since.replace(tzinfo=None)), critical=False).build()


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )
