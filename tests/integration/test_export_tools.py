"""Other people's tools on our bundles: each accepts a good one and refuses one with a changed byte in its part."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.conftest import ROOT, missing
from tests.fakes.bundle import BundleWorld, bundle_world
from tests.fakes.bundle_forger import flip

pytestmark = pytest.mark.integration

CENTRE = "custody.example/centre"
TAGS = "tagmanifest-sha256.txt"
SHELL_TOOLS = (
    *("openssl", "jq", "sh"),
    *("base64", "basenc", "cat", "cmp", "comm", "cp", "cut", "head", "mkdir", "mktemp", "od", "realpath", "rm"),
    *("sha256sum", "sort", "stat", "tail", "tr", "uniq", "wc"),
)
"""All that verify.sh may call: openssl, jq, a shell, coreutils (and cmp, of diffutils, which Debian always has)."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> BundleWorld:
    made = bundle_world(tmp_path_factory.mktemp("centre"))
    made.policy(made.folder / "policy.txt")
    made.export(made.folder / "made", made.clips[0], mhl=True)
    return made


@pytest.fixture
def bundle(world: BundleWorld, tmp_path: Path) -> Path:
    return Path(shutil.copytree(world.folder / "made", tmp_path / "bundle"))


def need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            missing(f"{program} is not installed")


def run(arguments: Sequence[object], bundle: Path, **more: object) -> int:
    """Exit code of a command in the bundle, in an environment without our paths."""
    environment = {"PATH": str(more.get("path", os.environ["PATH"])), "HOME": str(bundle.parent), "LANG": "C.UTF-8"}
    with Path(str(more.get("stdin", os.devnull))).open("rb") as stdin:
        done = subprocess.run(
            [str(one) for one in arguments], cwd=bundle, env=environment, stdin=stdin, capture_output=True, check=False
        )
    assert b": not found" not in done.stderr, done.stderr
    assert b"Traceback" not in done.stderr, done.stderr
    return done.returncode


def bagit(bundle: Path, _world: BundleWorld) -> int:
    return run([sys.executable, Path(sys.executable).with_name("bagit.py"), "--validate", "."], bundle)


def sha256sum(bundle: Path, _world: BundleWorld) -> int:
    need("sha256sum")
    return run(["sha256sum", "--strict", "-c", "manifest-sha256.txt"], bundle)


def sha256sum_tags(bundle: Path, _world: BundleWorld) -> int:
    need("sha256sum")
    return run(["sha256sum", "--strict", "-c", TAGS], bundle)


def cksum(bundle: Path, _world: BundleWorld) -> int:
    need("cksum")
    return run(["cksum", "--strict", "--check", "SM3SUMS"], bundle)


def openssl(bundle: Path, _world: BundleWorld) -> int:
    need("openssl")
    key = ["-pubin", "-inkey", f"keys/{CENTRE}.pem"]
    return run(["openssl", "pkeyutl", "-verify", *key, "-rawin", "-in", TAGS, "-sigfile", f"{TAGS}.ed25519"], bundle)


def ssh_keygen(bundle: Path, _world: BundleWorld) -> int:
    need("ssh-keygen")
    whom = ["-f", "keys/allowed_signers", "-I", CENTRE, "-n", "bwc-bundle"]
    return run(["ssh-keygen", "-Y", "verify", *whom, "-s", f"{TAGS}.sshsig"], bundle, stdin=bundle / TAGS)


def verify_sh(bundle: Path, world: BundleWorld) -> int:
    """With nothing on the path but what it may call."""
    need(*SHELL_TOOLS)
    path = bundle.parent / "bin"
    path.mkdir(exist_ok=True)
    for program in SHELL_TOOLS:
        if not (path / program).exists():
            (path / program).symlink_to(str(shutil.which(program)))
    script = ROOT / "ingestd/audit/templates/verify.sh"
    return run([path / "sh", script, "--policy", world.folder / "policy.txt"], bundle, path=path)


def verify_bundle_py(bundle: Path, world: BundleWorld) -> int:
    """The one file for auditors, without our packages in sight."""
    script = ROOT / "docs/auditors/verify_bundle.py"
    python = Path(sys.base_prefix) / "bin" / "python3"
    return run([python, "-I", "-S", script, ".", "--policy", world.folder / "policy.txt"], bundle)


def verify_command(bundle: Path, world: BundleWorld) -> int:
    arguments = ["audit", "verify-bundle", ".", "--policy", world.folder / "policy.txt", "--json"]
    return run([Path(sys.executable).with_name("ingestd"), *arguments], bundle)


PARTS: dict[Callable[[Path, BundleWorld], int], tuple[str, ...]] = {
    bagit: ("data/*/*/*/*/*.MP4", "manifest-sha256.txt", "bag-info.txt", "custody/*/*/*.json", TAGS),
    sha256sum: ("data/*/*/*/*/*.MP4", "manifest-sha256.txt"),
    sha256sum_tags: ("custody/*/*/*.json", "proofs/*/*/*.tlog-proof", "policy.txt", "verify.sh", TAGS),
    cksum: ("data/*/*/*/*/*.MP4", "SM3SUMS"),
    openssl: (TAGS, f"{TAGS}.ed25519"),
    ssh_keygen: (TAGS, f"{TAGS}.sshsig"),
    verify_sh: (
        *("data/*/*/*/*/*.MP4", "custody/*/station-01/*.json", "proofs/*/*/*.tlog-proof", "export.json", "SM3SUMS"),
        *("manifest-sha256.txt", TAGS, f"{TAGS}.ed25519", f"{TAGS}.sshsig"),
    ),
    verify_bundle_py: ("data/*/*/*/*/*.MP4", "custody/*/station-01/*.json", "proofs/*/*/*.tlog-proof", TAGS),
    verify_command: ("data/*/*/*/*/*.MP4", "custody/*/centre/*.json", f"{TAGS}.sshsig"),
}


@pytest.mark.parametrize("tool", PARTS, ids=lambda tool: tool.__name__)
def test_the_tool_accepts_a_good_bundle_and_refuses_a_changed_byte(world, bundle, tool):
    assert tool(bundle, world) == 0
    for part in PARTS[tool]:
        path = min(bundle.glob(part))
        right = path.read_bytes()
        flip(path, len(right) // 2)
        assert tool(bundle, world) != 0, part
        path.write_bytes(right)
    assert tool(bundle, world) == 0


def test_the_commands_from_case_to_checked_bundle(world, tmp_path):
    ingestd = Path(sys.executable).with_name("ingestd")
    here = ["--data-dir", world.folder]

    assert run([ingestd, "audit", "export", "--clip", world.clips[1], "--out", "out", "--json", *here], tmp_path) == 0
    assert run([ingestd, "audit", "export", "--case", "none", "--out", "none", *here], tmp_path) == 2
    assert run([ingestd, "audit", "verify-bundle", "out", "--trust-bag"], tmp_path) == 0
    assert run([ingestd, "audit", "verify-bundle", "out"], tmp_path) == 2
    assert run([ingestd, "audit", "verify-bundle", "out", "--policy", "absent"], tmp_path) == 2
    assert run(["sh", "out/verify.sh", "--trust-bag", "out"], tmp_path) == 0
    assert run(["sh", "out/verify.sh", "out"], tmp_path) == 2
    flip(next((tmp_path / "out" / "data").rglob("*.MP4")))
    assert run([ingestd, "audit", "verify-bundle", "out", "--trust-bag"], tmp_path) == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.slow
def test_asc_mhl_in_an_environment_of_its_own(bundle, tmp_path):
    venv.create(tmp_path / "mhl", with_pip=True)
    bin_ = tmp_path / "mhl" / "bin"
    got = subprocess.run([bin_ / "pip", "install", "-q", "ascmhl==1.2"], capture_output=True, text=True, check=False)
    if got.returncode:
        pytest.skip(f"ascmhl cannot be installed here: {got.stderr[-200:]}")
    check = [bin_ / "ascmhl-debug", "verify", "."]

    assert run(check, bundle) == 0
    for part, code in (("data/*/*/*/*/*.MP4", 11), ("ascmhl/*.mhl", 31)):
        path = min(bundle.glob(part))
        right = path.read_bytes()
        flip(path, right.find(b"</c4>") - 5 if part.endswith("mhl") else 0)
        assert run(check, bundle) == code, part
        path.write_bytes(right)
    min(bundle.glob("data/*/*/*/*/*.MP4")).unlink()
    assert run(check, bundle) in {10, 20}
