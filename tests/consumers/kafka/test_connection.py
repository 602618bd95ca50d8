"""What errors of the client mean: tried again, or refused for good and told in one line."""

import inspect
import logging
import ssl

import pytest
from kafka import errors as kafka_errors

from consumers.kafka.connection import LONGEST_LINE, MENDED, Connection, in_words, translated
from consumers.kafka.tokens import FileToken
from consumers.wire.record import Denied, Refused, Unavailable

ANSWERS = [
    kind
    for _, kind in inspect.getmembers(kafka_errors, inspect.isclass)
    if issubclass(kind, kafka_errors.BrokerResponseError)
]


def meaning_of(error, meanings=None):
    with pytest.raises((Refused, Unavailable)) as caught, translated(meanings or {}):
        raise error
    return caught.type, str(caught.value)


@pytest.mark.parametrize("kind", ANSWERS, ids=lambda kind: kind.__name__)
def test_what_cannot_be_tried_again_and_no_new_client_mends_is_refused(kind):
    found, _ = meaning_of(kind("said"))
    tried_again = kind.retriable or issubclass(kind, MENDED)
    assert issubclass(found, Unavailable if tried_again else Refused)


@pytest.mark.parametrize(
    "kind",
    [
        kafka_errors.InvalidReplicationFactorError,
        kafka_errors.InvalidSessionTimeoutError,
        kafka_errors.InvalidTopicError,
        kafka_errors.PolicyViolationError,
        kafka_errors.TopicAuthorizationFailedError,
        kafka_errors.UnsupportedVersionError,
        kafka_errors.MessageSizeTooLargeError,
        kafka_errors.FencedInstanceIdError,
    ],
)
def test_what_an_operator_must_mend_is_refused(kind):
    assert issubclass(meaning_of(kind())[0], Refused)


@pytest.mark.parametrize(
    "error",
    [
        kafka_errors.OutOfOrderSequenceNumberError(),
        kafka_errors.UnknownMemberIdError(),
        kafka_errors.NotEnoughReplicasError(),
        kafka_errors.KafkaTimeoutError("Timeout"),
        kafka_errors.CorruptRecordError("a record"),
        ConnectionResetError("gone"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_what_mends_itself_or_with_a_new_client_is_tried_again(error):
    assert meaning_of(error)[0] is Unavailable


def test_a_request_that_is_quoted_whole_becomes_one_short_line():
    error = kafka_errors.PolicyViolationError("Request 'Create\nTopics" + 2000 * "x")
    words = in_words(error)
    assert words.startswith("PolicyViolationError: ")
    assert "\n" not in words
    assert len(words) < LONGEST_LINE + 40


def test_who_knows_the_setting_says_what_an_error_means():
    meanings = {kafka_errors.InvalidSessionTimeoutError: lambda: "SESSION_S=3: 6 s at least"}
    error = kafka_errors.InvalidSessionTimeoutError()
    assert meaning_of(error, meanings) == (Refused, "SESSION_S=3: 6 s at least")


def test_a_password_that_is_not_believed_is_told_apart_from_a_right_that_is_missing():
    assert meaning_of(kafka_errors.SaslAuthenticationFailedError("no"))[0] is Denied
    assert meaning_of(kafka_errors.TopicAuthorizationFailedError("t"))[0] is Refused


def test_a_secret_is_read_from_its_file_for_every_client(tmp_path):
    file = tmp_path / "password"
    connection = Connection("a:1", secrets={"sasl_plain_password": file})
    for secret in ("one", "two"):
        file.write_text(f"{secret}\n")
        assert connection.options()["sasl_plain_password"] == secret
    file.unlink()
    with pytest.raises(Denied, match=r"password: No such file"):
        connection.options()


def test_a_token_is_read_from_its_file_for_every_connection(tmp_path):
    file = tmp_path / "token"
    token = FileToken(file)
    for text in ("aaa.bbb.ccc", "ddd.eee.fff"):
        file.write_text(f"{text}\n")
        assert token.token() == text


def time_out_after(error):
    logging.getLogger("kafka.net.manager").error("Connection failed: %s", error)
    raise kafka_errors.KafkaTimeoutError("Timeout")


def test_a_certificate_that_a_handshake_failed_for_is_the_reason_of_a_time_out():
    try:
        try:
            raise ssl.SSLCertVerificationError("unable to get local issuer certificate")
        except ssl.SSLError as error:
            raise kafka_errors.KafkaConnectionError(f"Handshake failed: {error}")  # noqa: B904
    except kafka_errors.KafkaError as error:
        failed = error
    with pytest.raises(Denied, match="unable to get local issuer certificate"), translated():
        time_out_after(failed)
