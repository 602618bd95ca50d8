"""A gate before a broker: TLS by Python's ssl, SASL as the Kafka protocol documents it.

The embedded broker has neither (its TLS options exclude each other, and its users live in a memory
that is empty at start), so both end here and every other request goes on to the broker unchanged.
The SASL side speaks SaslHandshake (17) and SaslAuthenticate (36) of the Kafka protocol guide, PLAIN
of RFC 4616 and SCRAM of RFC 5802; it shares no code with the client.
"""

import base64
import contextlib
import hashlib
import hmac
import secrets
import socket
import ssl
import struct
import threading
from dataclasses import dataclass, field

API_VERSIONS, HANDSHAKE, AUTHENTICATE = 18, 17, 36
UNSUPPORTED_MECHANISM, FAILED = 33, 58
ITERATIONS = 4096


class Refused(Exception):  # noqa: N818 - what a server says, not what went wrong here
    pass


class Scram:
    """The server's side of one SCRAM exchange (RFC 5802, section 3)."""

    def __init__(self, digest, users):
        self._digest, self._users, self._step = digest, users, 0

    def answer(self, message):
        self._step += 1
        return self._first(message) if self._step == 1 else self._last(message)

    def _first(self, message):
        self._bare = message.decode().partition(",,")[2]
        fields = dict(part.split("=", 1) for part in self._bare.split(","))
        self._password = self._users.get(fields["n"])
        self._salt = secrets.token_bytes(16)
        self._nonce = fields["r"] + secrets.token_urlsafe(18)
        salt = base64.b64encode(self._salt).decode()
        self._said = f"r={self._nonce},s={salt},i={ITERATIONS}"
        return self._said.encode(), False

    def _last(self, message):
        without, _, proof = message.decode().rpartition(",p=")
        if f"r={self._nonce}" not in without or self._password is None:
            raise Refused
        salted = hashlib.pbkdf2_hmac(self._digest, self._password.encode(), self._salt, ITERATIONS)
        told = f"{self._bare},{self._said},{without}".encode()
        client = self._mac(salted, b"Client Key")
        signature = self._mac(hashlib.new(self._digest, client).digest(), told)
        if bytes(a ^ b for a, b in zip(client, signature, strict=True)) != base64.b64decode(proof):
            raise Refused
        server = self._mac(self._mac(salted, b"Server Key"), told)
        return b"v=" + base64.b64encode(server), True

    def _mac(self, key, message):
        return hmac.new(key, message, self._digest).digest()


class Plain:
    """The server's side of PLAIN (RFC 4616)."""

    def __init__(self, users):
        self._users = users

    def answer(self, message):
        _, user, password = message.decode().split("\0")
        if self._users.get(user) != password:
            raise Refused
        return b"", True


@dataclass
class Gate:
    """Listens on a free port and lets in whom it knows; `users` None asks nobody who he is."""

    tls: ssl.SSLContext | None = None
    users: dict[str, str] | None = None
    mechanisms: tuple[str, ...] = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
    backend: tuple[str, int] | None = None
    let_in: int = 0
    """Connections that passed."""

    _threads: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self):
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self._open = set()

    def start(self, bootstrap):
        """Open the gate before a broker."""
        host, port = bootstrap.split(":")
        self.backend = (host, int(port))
        self._run(self._listen)

    def stop(self):
        self._socket.close()
        with contextlib.suppress(OSError):  # wakes the thread that waits for somebody
            socket.create_connection(("127.0.0.1", self.port), 0.2).close()
        for one in list(self._open):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        for thread in self._threads:
            thread.join(5)

    def _run(self, work, *arguments):
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self):
        self._socket.settimeout(0.2)
        while self._socket.fileno() != -1:
            try:
                one, _ = self._socket.accept()
            except TimeoutError:
                continue
            except OSError:
                return
            self._run(self._serve, one)

    def _serve(self, one):
        one.settimeout(None)
        self._open.add(one)
        behind = None
        with contextlib.suppress(OSError, EOFError, Refused):  # who is refused is hung up on
            if self.tls is not None:
                plain, one = one, self.tls.wrap_socket(one, server_side=True)
                self._open.discard(plain)
                self._open.add(one)
            behind = socket.create_connection(self.backend)
            self._open.add(behind)
            if self.users is not None:
                self._introduce(one, behind)
            self.let_in += 1
            self._run(_pump, behind, one)
            _pump(one, behind)
        one.close()
        if behind is not None:
            behind.close()

    # SASL

    def _introduce(self, one, behind):
        exchange = None
        while True:
            frame = _frame(one)
            key, version = struct.unpack_from(">hh", frame)
            if key == API_VERSIONS:
                behind.sendall(_sized(frame))
                one.sendall(_sized(_frame(behind)))
            elif key == HANDSHAKE:
                exchange = self._handshake(one, frame)
            elif key == AUTHENTICATE and exchange is not None:
                if _authenticate(one, frame, version, exchange):
                    return
            else:
                raise Refused

    def _handshake(self, one, frame):
        mechanism = _string(frame, _body(frame, flexible=False))
        known = mechanism in self.mechanisms
        names = b"".join(struct.pack(">h", len(m)) + m.encode() for m in self.mechanisms)
        code = 0 if known else UNSUPPORTED_MECHANISM
        one.sendall(_sized(frame[4:8] + struct.pack(">hi", code, len(self.mechanisms)) + names))
        if mechanism == "PLAIN":
            return Plain(self.users)
        return (
            Scram(mechanism.removeprefix("SCRAM-").replace("-", "").lower(), self.users)
            if known
            else None
        )


def _authenticate(one, frame, version, exchange):
    flexible = version >= 2
    at = _body(frame, flexible=flexible)
    if flexible:
        length, at = _varint(frame, at)
        message = frame[at : at + length - 1]
    else:
        (length,) = struct.unpack_from(">i", frame, at)
        message = frame[at + 4 : at + 4 + length]
    try:
        (said, done), code, text = exchange.answer(message), 0, None
    except Refused:
        said, done, code, text = b"", False, FAILED, "Authentication failed: invalid credentials"
    if code:  # the refusal and the hanging up come in one piece, as a busy client sees them
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
    head = frame[4:8] + (b"\0" if flexible else b"") + struct.pack(">h", code)
    life = struct.pack(">q", 0) if version >= 1 else b""
    if flexible:
        words = b"\0" if text is None else bytes([len(text) + 1]) + text.encode()
        one.sendall(_sized(head + words + _unsigned(len(said) + 1) + said + life + b"\0"))
    else:
        words = (
            struct.pack(">h", -1) if text is None else struct.pack(">h", len(text)) + text.encode()
        )
        one.sendall(_sized(head + words + struct.pack(">i", len(said)) + said + life))
    if code:
        raise Refused
    return done


def _body(frame, *, flexible):
    """Return where the body of a request begins, after client id and tags."""
    (length,) = struct.unpack_from(">h", frame, 8)
    return 10 + max(0, length) + int(flexible)


def _string(frame, at):
    (length,) = struct.unpack_from(">h", frame, at)
    return frame[at + 2 : at + 2 + length].decode()


def _varint(frame, at):
    value = shift = 0
    while True:
        byte = frame[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _unsigned(value):
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def _sized(frame):
    return struct.pack(">i", len(frame)) + frame


def _exactly(one, n):
    got = b""
    while len(got) < n:
        more = one.recv(n - len(got))
        if not more:
            raise EOFError
        got += more
    return got


def _frame(one):
    (length,) = struct.unpack(">i", _exactly(one, 4))
    return _exactly(one, length)


def _pump(source, sink):
    with contextlib.suppress(OSError):
        while data := source.recv(1 << 16):
            sink.sendall(data)
    for one in (source, sink):
        with contextlib.suppress(OSError):
            one.shutdown(socket.SHUT_RDWR)
