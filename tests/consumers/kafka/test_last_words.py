"""What a broker says before it hangs up is heard; `integration/test_secured` refuses at a broker."""

import socket

import pytest

from consumers.kafka.last_words import HeardTCP


@pytest.fixture
def told():
    """The client's end of a connection on which a broker said something and hung up."""
    broker, client = socket.socketpair()
    client.setblocking(False)
    broker.sendall(b"no")
    broker.close()
    with client:
        yield HeardTCP(None, client)


def test_the_last_words_come_first_and_then_that_nobody_is_there(told):
    assert told._sock_recv() == (b"no", None)
    data, error = told._sock_recv()
    assert data == b""
    assert error is not None
