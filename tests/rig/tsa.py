"""A time-stamping authority made of the openssl command, and a tiny HTTP server before it (RFC 3161 §3.4)."""

import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from cryptography import x509

from ingestd.anchors.tsa import Trust, load_trust

TIME_STAMPING: Final = "critical,timeStamping"
_CONFIG: Final = """[tsa]
default_tsa = here
[here]
serial = {folder}/serial
crypto_device = builtin
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256, sha512
ordering = yes
ess_cert_id_alg = sha256
"""


@dataclass
class LocalTsa:
    """One authority with a root of its own. ``answer`` may be replaced to play a broken one."""

    folder: Path
    name: str = "tsa-a"
    asked: list[bytes] = field(default_factory=list)
    status: int = 200
    content_type: str = "application/timestamp-reply"
    failures: int = 0
    """So many requests are answered 503 first."""

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        self.ca, self.cert = self.folder / "ca.pem", self.folder / "tsa.pem"
        (self.folder / "tsa.cnf").write_text(_CONFIG.format(folder=self.folder))
        (self.folder / "serial").write_text("01\n")
        (self.folder / "ext").write_text(
            f"basicConstraints=CA:false\nkeyUsage=critical,digitalSignature\nextendedKeyUsage={TIME_STAMPING}\n"
        )
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
        root = ["-subj", f"/CN=Root of {self.name}", "-days", "30", "-keyout", "ca.key", "-out", "ca.pem"]
        self._openssl("req", "-x509", *curve, *root)
        self._openssl("req", *curve, "-subj", f"/CN={self.name}", "-keyout", "tsa.key", "-out", "tsa.csr")
        issue = ["-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-days", "30"]
        self._openssl("x509", "-req", *issue, "-extfile", "ext", "-out", "tsa.pem")

    def trust(self) -> Trust:
        return load_trust(self.name, self.cert, self.ca)

    def answer(self, query: bytes) -> bytes:
        """The reply to one ``.tsq``."""
        (self.folder / "query.tsq").write_bytes(query)
        sign = ["-signer", "tsa.pem", "-inkey", "tsa.key", "-queryfile", "query.tsq", "-out", "reply.tsr"]
        self._openssl("ts", "-reply", "-config", "tsa.cnf", "-section", "here", *sign)
        return (self.folder / "reply.tsr").read_bytes()

    def reissued(self, key_usage: str) -> Path:
        """A certificate of the same key, name and serial number with another extended key usage."""
        (self.folder / "poor.ext").write_text(f"basicConstraints=CA:false\nextendedKeyUsage={key_usage}\n")
        serial = x509.load_pem_x509_certificate(self.cert.read_bytes()).serial_number
        issue = ["-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-set_serial", str(serial), "-days", "30"]
        self._openssl("x509", "-req", *issue, "-extfile", "poor.ext", "-out", "poor.pem")
        return self.folder / "poor.pem"

    def accepts(self, data: Path, token: Path) -> bool:
        """Whether ``openssl ts -verify`` accepts the token, with this authority's certificates."""
        chain = ["-CAfile", self.ca, "-untrusted", self.cert]
        argv = ["openssl", "ts", "-verify", "-data", data, "-in", token, *chain]
        done = subprocess.run([*map(str, argv)], capture_output=True, text=True, check=False)
        return done.returncode == 0 and "Verification: OK" in done.stdout + done.stderr

    def section(self, url: str) -> str:
        """Its block in ``ingestd.toml``."""
        return f'[[anchors.tsa]]\nname = "{self.name}"\nurl = "{url}"\nca = "{self.ca}"\ntsa_cert = "{self.cert}"\n'

    @contextmanager
    def serving(self) -> Iterator[str]:
        """Serve on a free port; gives the address."""
        server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/tsr"
        finally:
            server.shutdown()
            server.server_close()
            thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        tsa = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = self.rfile.read(int(self.headers["Content-Length"]))
                tsa.asked.append(query)
                broken = len(tsa.asked) <= tsa.failures
                body = b"" if broken else tsa.answer(query)
                self.send_response(503 if broken else tsa.status)
                self.send_header("Content-Type", tsa.content_type)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_args: object) -> None:
                pass

        return Handler

    def _openssl(self, *argv: str) -> None:
        subprocess.run(["openssl", *argv], cwd=self.folder, capture_output=True, check=True)
