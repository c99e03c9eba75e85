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

from keystore.errors import KeystoreError
from keystore.opening import SCHEMES, open_signer
from keystore.succession import KeyPlaces, OwnKeys

__all__ = ["SCHEMES", "KeyPlaces", "KeystoreError", "OwnKeys", "open_signer"]
