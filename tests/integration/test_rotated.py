"""What is made anew while a service runs: a password in a file, an authority with its certificates."""

import json
import time
from base64 import urlsafe_b64encode

import pytest
import requests
from apache import Cluster, needs_apache
from authority import Authority
from services import Services
from waiting import wait_until

from consumers.app import environment
from consumers.app.embedded import free_port
from consumers.kafka.admin import describe_topics
from consumers.wire.record import Denied

pytestmark = needs_apache
USER = "monitor"


@pytest.fixture
def services(tmp_path):
    made = Services("", tmp_path)
    yield made
    made.end()


def judge(services, bootstrap, **variables):
    """Start a judge and return the address of its pages once it is in office."""
    port = free_port()
    given = {"http_port": port, **variables}
    services.bootstrap = bootstrap
    services.environment = {f"CALODQM_{name.upper()}": str(value) for name, value in given.items()}
    services.start("judge", "judge")
    services.wait_for("judge", "in office", 180)
    return f"http://127.0.0.1:{port}"


def readiness(url):
    return requests.get(f"{url}/readyz", timeout=5)


def denied(url):
    text = requests.get(f"{url}/metrics", timeout=5).text
    return "calodqm_broker_denials 1.0" in text


def gets_over(services, url, cluster, said, mend):
    """Have the broker come back with what is new, see the service kept out, and mend it."""
    cluster.start(0)
    wait_until(lambda: said in readiness(url).text, 120, "the service to say that it is denied")
    wait_until(lambda: denied(url), 30, "the metric")
    line = requests.get(f"{url}/api/state", timeout=5).json()["service"]["broker"]
    assert said in line["text"]
    assert services.children["judge"].poll() is None
    mend()
    wait_until(lambda: readiness(url).ok, 120, "the service to be let in again")
    assert not denied(url)


def test_a_password_that_is_changed_in_its_file_is_taken_up(services, tmp_path):
    file = tmp_path / "password"
    file.write_text("the-first\n")
    with Cluster(users={USER: "the-first"}) as cluster:
        url = judge(
            services, cluster.bootstrap, security_protocol="SASL_PLAINTEXT",
            sasl_mechanism="SCRAM-SHA-512", sasl_username=USER, sasl_password_file=file,
        )  # fmt: skip
        cluster.password(USER, "the-second")
        cluster.stop(0)
        gets_over(
            services, url, cluster, "invalid credentials", lambda: file.write_text("the-second\n")
        )


def test_an_authority_that_is_made_anew_is_taken_up(services, tmp_path):
    first, second = Authority(tmp_path, "first"), Authority(tmp_path, "second")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes(first.file.read_bytes())
    keystore = first.keystore("server", Cluster.PASSWORD)
    with Cluster(keystore=keystore) as cluster:
        url = judge(services, cluster.bootstrap, security_protocol="SSL", ssl_cafile=trusted)
        cluster.stop(0)
        second.keystore("server", Cluster.PASSWORD)
        gets_over(
            services, url, cluster, "certificate of localhost",
            lambda: trusted.write_bytes(second.file.read_bytes()),
        )  # fmt: skip


def test_patience_ends_and_the_process_with_a_line(services, tmp_path):
    file = tmp_path / "password"
    file.write_text("the-first\n")
    with Cluster(users={USER: "the-first"}) as cluster:
        judge(
            services, cluster.bootstrap, security_protocol="SASL_PLAINTEXT", refused_s=3,
            sasl_mechanism="SCRAM-SHA-512", sasl_username=USER, sasl_password_file=file,
        )  # fmt: skip
        cluster.password(USER, "the-second")
        cluster.stop(0)
        cluster.start(0)
        child = services.children["judge"]
        wait_until(lambda: child.poll() is not None, 180, "its end")
        assert child.returncode == 2
        assert "invalid credentials" in services.log("judge").strip().splitlines()[-1]


def token(**claims):
    """Return a token that a broker without a token service takes: one that nobody signed."""
    parts = ({"alg": "none"}, claims)
    return (
        ".".join(urlsafe_b64encode(json.dumps(p).encode()).decode().rstrip("=") for p in parts)
        + "."
    )


def test_who_has_a_token_is_let_in_and_who_has_an_old_one_is_not(tmp_path):
    now, file = time.time(), tmp_path / "token"
    login = "org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required"
    taken = {
        "sasl.enabled.mechanisms": "OAUTHBEARER",
        "listener.name.outer.oauthbearer.sasl.jaas.config": (
            f'{login} unsecuredLoginStringClaim_sub="broker";'
        ),
    }
    with Cluster(users={USER: "x"}, overrides=taken) as cluster:
        given = environment.load(
            {
                "bootstrap": cluster.bootstrap,
                "security_protocol": "SASL_PLAINTEXT",
                "sasl_mechanism": "OAUTHBEARER",
                "sasl_token_file": file,
            },
            {},
        )
        file.write_text(token(sub=USER, iat=now, exp=now + 600))
        assert describe_topics(given.connection()) == {}
        file.write_text(token(sub=USER, iat=now - 7200, exp=now - 3600))
        with pytest.raises(Denied):
            describe_topics(given.connection())
