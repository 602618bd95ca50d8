"""Settings: from the environment, overruled by options, and never misspelt in silence."""

import argparse
import os

import pytest

from consumers.app import settings
from consumers.cli import options
from consumers.wire.failure import UserError


def test_options_overrule_the_environment(monkeypatch):
    monkeypatch.setenv("CALODQM_BOOTSTRAP", "a:1")
    monkeypatch.setenv("CALODQM_GROUP", "g")
    parser = argparse.ArgumentParser()
    settings.add_arguments(parser, *settings.SERVICE)
    given = settings.from_arguments(parser.parse_args(["--bootstrap", "b:2", "--http-port", "0"]))
    assert (given.bootstrap, given.group, given.http_port) == ("b:2", "g", 0)


def test_a_variable_that_nothing_reads_is_refused():
    with pytest.raises(UserError, match="CALODQM_BOOTSTRAPS"):
        settings.load({}, {"CALODQM_BOOTSTRAPS": "x"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_port", "99999"),
        ("emit_s", "0"),
        ("device", "tpu"),
        ("security_protocol", "TLS"),
        ("batch", "many"),
    ],
)
def test_a_wrong_value_is_one_line_that_names_the_setting(name, value):
    with pytest.raises(UserError, match=f"setting {name}") as caught:
        settings.load({name: value}, {})
    assert "\n" not in str(caught.value)


def test_security_is_passed_through_and_a_password_is_not_shown():
    given = settings.load(
        {
            "security_protocol": "SASL_SSL",
            "sasl_mechanism": "SCRAM-SHA-256",
            "sasl_username": "ada",
            "sasl_password": "secret",
            "ssl_cafile": "/ca.pem",
        },
        {},
    )
    assert "secret" not in repr(given)
    options = given.connection().options()
    assert options["sasl_plain_password"] == "secret"  # noqa: S105
    assert options["ssl_cafile"] == "/ca.pem"
    assert "ssl_keyfile" not in options
    assert settings.load({}, {}).connection().security == {}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2026-01-01T00:00:00Z", 1_767_225_600), ("2026-01-01T01:00:00+01:00", 1_767_225_600)],
)
def test_times_are_read(text, seconds):
    assert options.time_ns(text) == seconds * 10**9


def test_times_ago_are_read_and_others_refused():
    assert options.time_ns("now") - options.time_ns("2h") == pytest.approx(7200e9, abs=1e9)
    with pytest.raises(UserError, match="yesterday"):
        options.time_ns("yesterday")


def test_a_user_without_a_name_can_speak(monkeypatch):
    def unknown():
        raise KeyError("getpwuid(): uid not found: 65532")

    monkeypatch.setattr("getpass.getuser", unknown)
    parser = argparse.ArgumentParser()
    options.add_who(parser)
    assert parser.parse_args([]).who == f"uid {os.getuid()}"


def test_records_to_skip_are_named_as_the_log_writes_them():
    given = settings.load({"skip": "calo.windows.v1[0]@12, calo.showers.v1[3]@4"}, {})
    assert given.skipped() == {"calo.windows.v1[0]@12", "calo.showers.v1[3]@4"}
    assert settings.load({}, {}).skipped() == frozenset()


@pytest.mark.parametrize("skip", ["calo.windows.v1", "calo.windows.v1@5", "a[0]@1;b[0]@2", "12"])
def test_a_place_that_is_none_is_refused(skip):
    with pytest.raises(UserError, match="skip"):
        settings.load({"skip": skip}, {})
