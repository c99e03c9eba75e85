from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from station_agent.errors import KeyFileError
from station_agent.keys import create_key, load_signer


def test_a_new_key_is_private_and_loads_again(tmp_path: Path):
    made = create_key(tmp_path / "keys" / "custody.pem")
    assert (tmp_path / "keys" / "custody.pem").stat().st_mode & 0o777 == 0o600
    assert load_signer(tmp_path / "keys" / "custody.pem").public_key() == made.public_key()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_a_key_that_others_may_touch_is_refused(tmp_path: Path, mode: int):
    create_key(tmp_path / "k.pem")
    (tmp_path / "k.pem").chmod(mode)
    with pytest.raises(KeyFileError, match="0600 is needed"):
        load_signer(tmp_path / "k.pem")


def test_an_existing_key_is_never_replaced(tmp_path: Path):
    create_key(tmp_path / "k.pem")
    before = (tmp_path / "k.pem").read_bytes()
    with pytest.raises(KeyFileError):
        create_key(tmp_path / "k.pem")
    assert (tmp_path / "k.pem").read_bytes() == before


def test_what_is_no_ed25519_key_is_refused(tmp_path: Path):
    other = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    for data in (other, b"", b"nonsense"):
        (tmp_path / "k.pem").write_bytes(data)
        (tmp_path / "k.pem").chmod(0o600)
        with pytest.raises(KeyFileError):
            load_signer(tmp_path / "k.pem")
    with pytest.raises(KeyFileError, match="cannot be read"):
        load_signer(tmp_path / "none.pem")
