"""Opens the private key at a place, whichever back end that is."""

from pathlib import Path
from typing import Final

from custody.signer import Signer
from keystore.errors import KeystoreError
from keystore.pem import credential_signer, file_signer
from keystore.places import Place, parse_place

SCHEMES: Final = ("file", "credential", "pkcs11", "tpm2")
"""The back ends."""


def place_of(text: str, folder: Path) -> Path | str:
    """A path, relative to ``folder``, or the URL of a place that is no file."""
    scheme, colon, rest = text.partition(":")
    if not colon or scheme not in SCHEMES:
        return folder / text
    return folder / rest if scheme == "file" else text


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
