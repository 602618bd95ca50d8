"""Settings: from the environment, overruled by options, and never misspelt in silence."""

import argparse
import os

import pytest

from consumers.app import environment, settings
from consumers.cli import options
from consumers.wire import topics
from consumers.wire.user_error import UserError
from monitor.judging.settings import MonitorSettings
from monitor.reference.live import LiveSettings


def test_options_overrule_the_environment(monkeypatch):
    monkeypatch.setenv("CALODQM_BOOTSTRAP", "a:1")
    monkeypatch.setenv("CALODQM_GROUP", "g")
    parser = argparse.ArgumentParser()
    environment.add_arguments(parser, *settings.SERVICE)
    given = environment.from_arguments(
        parser.parse_args(["--bootstrap", "b:2", "--http-port", "0"])
    )
    assert (given.bootstrap, given.group, given.http_port) == ("b:2", "g", 0)


def test_a_variable_that_nothing_reads_is_refused():
    with pytest.raises(UserError, match="CALODQM_BOOTSTRAPS"):
        environment.load({}, {"CALODQM_BOOTSTRAPS": "x"})


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
        environment.load({name: value}, {})
    assert "\n" not in str(caught.value)


def test_security_is_passed_through_and_a_password_is_not_shown():
    given = environment.load(
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
    assert environment.load({}, {}).connection().security == {}


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
    given = environment.load({"skip": "calo.windows.v1[0]@12, calo.showers.v1[3]@4"}, {})
    assert given.skipped() == {"calo.windows.v1[0]@12", "calo.showers.v1[3]@4"}
    assert environment.load({}, {}).skipped() == frozenset()


@pytest.mark.parametrize("skip", ["calo.windows.v1", "calo.windows.v1@5", "a[0]@1;b[0]@2", "12"])
def test_a_place_that_is_none_is_refused(skip):
    with pytest.raises(UserError, match="skip"):
        environment.load({"skip": skip}, {})


@pytest.mark.parametrize("name", ["topic", "group", "instance"])
@pytest.mark.parametrize("value", ["calo showers", "x" * 300, "a b/ü", "..", ""])
def test_a_name_that_kafka_does_not_take_is_refused_at_once(name, value):
    with pytest.raises(UserError, match=f"setting {name}"):
        environment.load({name: value}, {})


def test_credentials_are_never_sent_in_the_clear_without_a_word():
    given = {"sasl_username": "u", "sasl_password": "secret-secret", "sasl_mechanism": "PLAIN"}
    with pytest.raises(UserError, match=r"counts for nothing with PLAINTEXT: set SASL_SSL"):
        environment.load(given, {})
    with pytest.raises(UserError, match="ssl_cafile counts for nothing with SASL_PLAINTEXT"):
        environment.load({**given, "ssl_cafile": "/ca", "security_protocol": "SASL_PLAINTEXT"}, {})


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({}, "needs sasl_mechanism"),
        ({"sasl_mechanism": "PLAIN", "sasl_username": "u"}, "PLAIN needs sasl_password"),
    ],
)
def test_sasl_that_could_never_be_let_in_is_refused_at_once(given, said):
    with pytest.raises(UserError, match=said):
        environment.load({"security_protocol": "SASL_SSL", **given}, {})


@pytest.mark.parametrize("text", ["host:abc", "host", "::1:9092", "a:1,b", "", " , "])
def test_an_address_that_is_none_is_one_line(text):
    with pytest.raises(UserError, match=r"setting bootstrap: .* is not host:port"):
        environment.load({"bootstrap": text}, {})


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("[::1]:9092", "[::1]:9092"),
        ("kafka:9092\n", "kafka:9092"),
        (" a:1 , [fe80::1%eth0]:2, ", "a:1,[fe80::1%eth0]:2"),
    ],
)
def test_addresses_are_read_as_people_write_them(text, read):
    assert environment.load({}, {"CALODQM_BOOTSTRAP": text}).bootstrap == read


def test_a_secret_that_ends_with_a_newline_is_taken_without_it():
    given = environment.load({}, {"CALODQM_PAGE_TOKEN": "aaaabbbbccccdddd1111\n"})
    assert given.page_token.get_secret_value() == "aaaabbbbccccdddd1111"


def test_variables_in_lower_case_count_and_are_not_misspelt_in_silence():
    assert environment.load({}, {"calodqm_bootstrap": "a:1"}).bootstrap == "a:1"
    with pytest.raises(UserError, match="unknown setting CALODQM_BOOTSTRP"):
        environment.load({}, {"calodqm_bootstrp": "a:1"})


def test_the_environment_that_is_given_is_the_one_that_counts(monkeypatch):
    monkeypatch.setenv("CALODQM_BATCH", "7")
    assert environment.load({}, {}).batch == 2048
    assert environment.load({}).batch == 7


def test_an_empty_variable_is_none():
    given = environment.load(
        {}, {"CALODQM_INSTANCE": "", "CALODQM_DETECTOR": "", "CALODQM_GROUP": " "}
    )
    assert (given.instance, given.detector, given.group) == (None, None, "calodqm")


@pytest.mark.parametrize("value", ["inf", "nan"])
@pytest.mark.parametrize("name", ["budget_days", "emit_s", "overload_s"])
def test_a_number_that_is_none_is_refused(name, value):
    with pytest.raises(UserError, match=f"setting {name}"):
        environment.load({}, {f"CALODQM_{name.upper()}": value})


LINKS = {
    "CALODQM_SERVICE_HOST": "10.96.14.2",
    "CALODQM_SERVICE_PORT": "80",
    "CALODQM_SERVICE_PORT_HTTP": "80",
    "CALODQM_PORT": "tcp://10.96.14.2:80",
    "CALODQM_PORT_80_TCP": "tcp://10.96.14.2:80",
    "CALODQM_PORT_80_TCP_PROTO": "tcp",
    "CALODQM_PORT_80_TCP_PORT": "80",
    "CALODQM_PORT_80_TCP_ADDR": "10.96.14.2",
}


@pytest.mark.parametrize("service", ["CALODQM", "CALODQM_PAGE", "CALODQM_HTTP"])
def test_variables_of_a_service_of_the_namespace_are_not_ours(service):
    given = {name.replace("CALODQM", service, 1): value for name, value in LINKS.items()}
    assert environment.load({}, given).http_port == 9108


def test_a_misspelt_port_is_still_noticed():
    with pytest.raises(UserError, match="CALODQM_HTPT_PORT"):
        environment.load({}, {"CALODQM_HTPT_PORT": "9108"})


def test_clients_are_called_by_part_and_name_and_say_where_they_are():
    given = environment.load({"name": "w1", "rack": "hall-3"}, {})
    connection = given.connection("score")
    assert connection.options()["client_id"] == "calodqm/score/w1"
    assert connection.rack == "hall-3"


SASL = {"security_protocol": "SASL_SSL"}


def test_a_token_comes_from_its_file(tmp_path):
    file = tmp_path / "token"
    file.write_text("aaa.bbb.ccc\n")
    given = environment.load({**SASL, "sasl_mechanism": "OAUTHBEARER", "sasl_token_file": file}, {})
    options = given.connection().options()
    assert options["sasl_oauth_token_provider"].token() == "aaa.bbb.ccc"
    with pytest.raises(UserError, match="OAUTHBEARER needs sasl_token_file"):
        environment.load({**SASL, "sasl_mechanism": "OAUTHBEARER"}, {})


def test_a_password_comes_from_its_file_or_from_its_variable_not_from_both(tmp_path):
    file = tmp_path / "password"
    file.write_text("secret\n")
    scram = {**SASL, "sasl_mechanism": "SCRAM-SHA-512", "sasl_username": "u"}
    given = environment.load({**scram, "sasl_password_file": file}, {})
    assert given.connection().options()["sasl_plain_password"] == "secret"  # noqa: S105
    with pytest.raises(UserError, match="one is enough"):
        environment.load({**scram, "sasl_password_file": file, "sasl_password": "x"}, {})


def test_gssapi_without_its_library_says_what_to_install(monkeypatch):
    gssapi = {**SASL, "sasl_mechanism": "GSSAPI"}
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'calodqm\[kerberos\]'"):
        environment.load(gssapi, {})
    monkeypatch.setattr("importlib.util.find_spec", lambda name: name)
    options = (
        environment.load({**gssapi, "sasl_kerberos_domain": "site"}, {}).connection().options()
    )
    assert options["sasl_kerberos_service_name"] == "kafka"
    assert options["sasl_kerberos_domain_name"] == "site"


def test_how_a_judge_judges_can_be_set_and_reaches_the_monitor():
    words = {
        "CALODQM_BUDGET_DAYS": "10",
        "CALODQM_WARNING_DAYS": "0.5",
        "CALODQM_MIN_SHOWERS": "7",
        "CALODQM_FLOOR_MEAN": "0.1",
        "CALODQM_FLOOR_CROWD": "4",
        "CALODQM_LIVE": "false",
        "CALODQM_QUARANTINE_S": "60",
        "CALODQM_SUBTRACT_S": "120",
    }
    told = environment.load({}, words).monitor_settings("m", ("a",), "1")
    assert (told.allowance.days_per_page, told.allowance.days_per_warning) == (10, 0.5)
    assert told.min_showers == 7
    assert (told.floors.mean, told.floors.crowd) == (0.1, 4)
    assert told.live == LiveSettings(enabled=False, quarantine_s=60, horizon_s=120)
    assert environment.load({}, {}).monitor_settings("", (), "0.1.0") == MonitorSettings()


def test_warnings_that_would_come_after_pages_are_refused():
    with pytest.raises(UserError, match="warning_days"):
        environment.load({}, {"CALODQM_WARNING_DAYS": "40"})


def test_each_setting_of_the_judgement_has_a_meaning_and_stands_in_the_guide():
    guide = (settings.ROOT / "deploy" / "guides" / "operator.md").read_text()
    for name, (value, meaning) in environment.load({}, {}).told().items():
        assert meaning
        default = "true" if name == "live" else value
        assert f"| `CALODQM_{name.upper()}` | {default} |" in guide


def test_a_prefix_is_that_of_topic_and_group_unless_they_are_given():
    given = environment.load({}, {"CALODQM_PREFIX": "ecal."})
    assert (given.topic, given.group) == ("ecal.calo.showers.v1", "ecal.calodqm")
    given = environment.load({"topic": "daq.showers", "group": "mine"}, {"CALODQM_PREFIX": "ecal."})
    assert (given.topic, given.group) == ("daq.showers", "mine")
    with pytest.raises(UserError, match="setting prefix"):
        environment.load({"prefix": "e cal"}, {})


def test_a_connection_calls_our_own_topics_by_the_prefix_and_no_others():
    connection = environment.load({"prefix": "ecal."}, {}).connection()
    assert connection.there(topics.WINDOWS) == "ecal.calo.windows.v1"
    assert connection.there("ecal.calo.showers.v1") == "ecal.calo.showers.v1"
    assert connection.here("ecal.calo.windows.v1") == topics.WINDOWS
    assert connection.here("hcal.calo.windows.v1") == "hcal.calo.windows.v1"
