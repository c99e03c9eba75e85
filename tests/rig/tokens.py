"""Tokens in software, started for a test and stopped after it: SoftHSM 2 for PKCS#11, swtpm for TPM 2.0."""

import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SOFTHSM = Path("/usr/lib/softhsm/libsofthsm2.so")
PIN = "1234"
TOKEN = "bwc"  # noqa: S105  # the name of a token, not a secret
HANDLE = "0x81010001"


class SoftHsm:
    """A SoftHSM token in a folder of its own. One per process: the library reads its configuration once."""

    def __init__(self, folder: Path) -> None:
        (folder / "tokens").mkdir(parents=True)
        configuration, self.pin_file = folder / "softhsm2.conf", folder / "pin"
        configuration.write_text(
            f"directories.tokendir = {folder}/tokens\nobjectstore.backend = file\nlog.level = ERROR\n"
        )
        self.pin_file.write_text(f"{PIN}\n")
        self.pin_file.chmod(0o600)
        os.environ["SOFTHSM2_CONF"] = str(configuration)
        run("softhsm2-util", "--init-token", "--free", "--label", TOKEN, "--so-pin", "5678", "--pin", PIN)

    def make(self, label: str, curve: str) -> None:
        """A key pair on ``curve``: an object identifier or the name of a curve."""
        import pkcs11  # noqa: PLC0415  # an optional extra
        from pkcs11 import Attribute, KeyType, Mechanism  # noqa: PLC0415
        from pkcs11.util.ec import encode_named_curve_parameters  # noqa: PLC0415

        edwards = curve == "1.3.101.112"
        kind = KeyType.EC_EDWARDS if edwards else KeyType.EC
        mechanism = Mechanism.EC_EDWARDS_KEY_PAIR_GEN if edwards else Mechanism.EC_KEY_PAIR_GEN
        library: Any = pkcs11.lib(str(SOFTHSM))
        with library.get_token(token_label=TOKEN).open(user_pin=PIN, rw=True) as session:
            curve_parameters = {Attribute.EC_PARAMS: encode_named_curve_parameters(curve)}
            domain = session.create_domain_parameters(kind, curve_parameters, local=True)
            domain.generate_keypair(mechanism=mechanism, store=True, label=label)

    def url(self, label: str) -> str:
        """Place of the key pair ``label``."""
        return f"pkcs11:token={TOKEN};object={label}?module-path={SOFTHSM}&pin-source=file:{self.pin_file}"


@contextmanager
def software_tpm(folder: Path) -> Iterator[str]:
    """A TPM with one persistent P-256 signing key; yields the place of that key."""
    folder.mkdir(parents=True, exist_ok=True)
    port = _two_free_ports()
    command = ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={folder}", "--flags", "not-need-init,startup-clear"]
    command += ["--server", f"type=tcp,port={port}", "--ctrl", f"type=tcp,port={port + 1}"]
    tcti = f"swtpm:host=127.0.0.1,port={port}"
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as tpm:
        try:
            _wait_until_up(tcti)
            _make_key(folder, tcti)
            yield f"tpm2:handle={HANDLE}?tcti={tcti}"
        finally:
            tpm.terminate()


def run(*command: str, **environment: str) -> None:
    """Run a command; its last words when it fails."""
    done = subprocess.run(command, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{command[0]}: {done.stderr[-500:]}")


def _make_key(folder: Path, tcti: str) -> None:
    primary, key = str(folder / "primary.ctx"), str(folder / "key.ctx")
    public, private = str(folder / "key.pub"), str(folder / "key.priv")
    rights = "fixedtpm|fixedparent|sensitivedataorigin|userwithauth|sign"
    steps = [
        ["tpm2_createprimary", "-Q", "-C", "o", "-G", "ecc256", "-c", primary],
        ["tpm2_create", "-Q", "-C", primary, "-G", "ecc256:ecdsa-sha256", "-a", rights, "-u", public, "-r", private],
        ["tpm2_load", "-Q", "-C", primary, "-u", public, "-r", private, "-c", key],
        ["tpm2_evictcontrol", "-Q", "-C", "o", "-c", key, HANDLE],
    ]
    for step in steps:
        run(*step, TPM2TOOLS_TCTI=tcti)
        # Without a resource manager a TPM has room for three loaded objects.
        run("tpm2_flushcontext", "-t", TPM2TOOLS_TCTI=tcti)


def _wait_until_up(tcti: str) -> None:
    deadline = time.monotonic() + 20
    while True:
        try:
            run("tpm2_getrandom", "-Q", "--hex", "4", TPM2TOOLS_TCTI=tcti)
        except RuntimeError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)
        else:
            return


def _two_free_ports() -> int:
    """A port whose neighbour is free too: the TPM's control channel is expected there."""
    while True:
        with socket.socket() as first, socket.socket() as second:
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            try:
                second.bind(("127.0.0.1", port + 1))
            except OSError:
                continue
            return port
