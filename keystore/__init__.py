"""Where private keys live: file, systemd credential, PKCS#11 token, TPM 2.0 — each a ``custody.signer.Signer``.

Shared by the station's program and the centre's, so that neither has a copy; ``custody`` itself does no I/O and never
imports this package (docs/adr/0005). A place is a URL:

==============================================================================  ======================================
``file:PATH``                                                                   PEM file, mode 0600; ed25519, p256, sm2
``credential:NAME``                                                             the same PEM as a systemd credential
``pkcs11:token=T;object=O?module-path=M.so&pin-source=file:PATH``               RFC 7512; ed25519 or p256
``tpm2:handle=0x81010001?tcti=device:/dev/tpmrm0``                              persistent TPM 2.0 key; p256
==============================================================================  ======================================

``pin-source`` may be a ``credential:`` too. Software keys, and tokens without a certificate of the cryptography
administration, are no 密评 (商用密码应用安全性评估) conformity.
"""

from pathlib import Path
from typing import Final

from custody.signer import Signer
from keystore.errors import KeystoreError
from keystore.pem import credential_signer, file_signer
from keystore.places import Place, parse_place

SCHEMES: Final = ("file", "credential", "pkcs11", "tpm2")
"""The back ends."""

__all__ = ["SCHEMES", "KeystoreError", "open_signer"]


def open_signer(place: Path | str) -> Signer:
    """The signer at a path or URL. Raises ``KeystoreError`` with a sentence for people.

    ``sign`` of a token or TPM may raise ``KeystoreError`` too; what was to be signed then counts as not written.
    """
    if isinstance(place, Path):
        return file_signer(place)
    parsed = parse_place(place)
    if parsed.scheme == "file":
        return file_signer(Path(parsed.path))
    if parsed.scheme == "credential":
        return credential_signer(parsed.path)
    return _hardware_signer(parsed)


def _hardware_signer(place: Place) -> Signer:
    """Imported only when used: the PKCS#11 binding is an optional extra."""
    if place.scheme == "pkcs11":
        from keystore.pkcs11 import Pkcs11Signer  # noqa: PLC0415  # see above

        return Pkcs11Signer(place)
    if place.scheme == "tpm2":
        from keystore.tpm2 import Tpm2Signer  # noqa: PLC0415  # see above

        return Tpm2Signer(place)
    raise KeystoreError(f"{place.scheme}: keys live at {', '.join(f'{scheme}:' for scheme in SCHEMES)}")
