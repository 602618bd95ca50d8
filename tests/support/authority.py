"""Certificates of a test: an authority, what it signs, and a server's TLS with them."""

import ssl
import subprocess
from dataclasses import dataclass


@dataclass
class Authority:
    """A certificate authority of a test, and what it signs."""

    folder: object
    name: str = "ca"

    def __post_init__(self):
        self._openssl(
            "req", "-x509", *_KEY, "-nodes", "-keyout", f"{self.name}.key", "-out", f"{self.name}.pem",
            "-subj", f"/CN={self.name}", "-days", "2",
        )  # fmt: skip

    @property
    def file(self):
        return self.folder / f"{self.name}.pem"

    def sign(self, name, names="DNS:localhost,IP:127.0.0.1"):
        """Return the files of a certificate for some host names, and of its key."""
        (self.folder / "names.cnf").write_text(f"subjectAltName={names}\n")
        self._openssl(
            "req", *_KEY, "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"
        )  # fmt: skip
        self._openssl(
            "x509", "-req", "-in", f"{name}.csr", "-CA", f"{self.name}.pem", "-CAkey", f"{self.name}.key",
            "-CAcreateserial", "-days", "2", "-extfile", "names.cnf", "-out", f"{name}.pem",
        )  # fmt: skip
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def keystore(self, name, password, names="DNS:localhost,IP:127.0.0.1"):
        """Return a PKCS#12 file of a certificate and its key, as Apache Kafka reads it."""
        certificate, key = self.sign(name, names)
        self._openssl(
            "pkcs12", "-export", "-in", certificate, "-inkey", key, "-certfile", self.file,
            "-out", f"{name}.p12", "-passout", f"pass:{password}",
        )  # fmt: skip
        return self.folder / f"{name}.p12"

    def _openssl(self, *arguments):
        subprocess.run(["openssl", *arguments], cwd=self.folder, check=True, capture_output=True)


_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256")


def server_context(certificate, key, clients=None):
    """Return a server's TLS context; with `clients`, an authority's file, they need certificates."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    if clients is not None:
        context.load_verify_locations(clients)
        context.verify_mode = ssl.CERT_REQUIRED
    return context
