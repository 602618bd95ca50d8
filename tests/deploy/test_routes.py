"""Who is told of what, when and in what form; no key of routes and receivers can change unnoticed.

Routes are read here as Alertmanager reads them; that it does is held with a real one, in
tests/integration/test_alertmanager.py, and by amtool in test_deploy.
"""

import copy
import re

from deployed import alerts
from routing import CONFIG, taken

# Receiver, messages are one for each ..., the first and further ones after, said again after.
CALL = ("phone", ["detector"], "5s", "1m", "30m")
OF_ALARMS = ("chat", ["detector"], "10s", "1m", "4h")
OF_AN_ALERT = ("chat", ["detector", "alertname"], "10s", "1m", "4h")
MAIL = ("expert", ["detector", "alertname"], "5m", "1h", "24h")
HEARTBEAT = ("deadman", ["alertname"], "0s", "1m", "50s")
BY_SEVERITY = {
    "page": [CALL, OF_AN_ALERT],
    "warning": [OF_AN_ALERT],
    "ticket": [MAIL],
    "none": [HEARTBEAT],
}
BY_ALERT = {
    "CaloAlarmPage": [CALL, OF_ALARMS],
    "CaloAlarmWarning": [OF_ALARMS],
    "CaloAlarmInHand": [OF_ALARMS],
    "CaloSectorExplained": [("nobody", ["detector", "alertname"], "10s", "1m", "4h")],
}
FORMS = {
    "phone": {
        "webhook_configs": [
            {"url": "http://127.0.0.1:9200/phone", "send_resolved": True, "max_alerts": 50}
        ]
    },
    "chat": {
        "slack_configs": [
            {
                "api_url": "http://127.0.0.1:9200/chat",
                "channel": "#calo-shift",
                "username": "calodqm",
                "send_resolved": True,
                "color": '{{ template "calodqm.color" . }}',
                "title": '{{ template "calodqm.title" . }}',
                "title_link": '{{ template "calodqm.link" . }}',
                "text": '{{ template "calodqm.text" . }}',
                "actions": [
                    {
                        "type": "button",
                        "text": "Silence 1 h",
                        "url": '{{ template "calodqm.silence" . }}',
                    }
                ],
            }
        ]
    },
    # A ticket is work for the day: that its cause is over closes nothing.
    "expert": {
        "email_configs": [
            {
                "to": "calo-experts@localhost",
                "send_resolved": False,
                "headers": {"Subject": '{{ template "calodqm.title" . }}'},
                "html": "",
                "text": '{{ template "calodqm.text" . }}',
            }
        ]
    },
    # A heartbeat that has ended is silence, and no message.
    "deadman": {
        "webhook_configs": [{"url": "http://127.0.0.1:9200/deadman", "send_resolved": False}]
    },
    "nobody": {},
}
SENDER = {
    "smtp_smarthost": "127.0.0.1:1025",
    "smtp_from": "calodqm@localhost",
    "smtp_require_tls": False,
}


def expected():
    """Yield every alert's labels and what it becomes."""
    for name, rule in alerts().items():
        severity = rule["labels"]["severity"]
        labels = {"alertname": name, "detector": "calo", "severity": severity}
        yield labels, BY_ALERT.get(name) or BY_SEVERITY[severity]
    for severity in ("page", "warning", "ticket"):  # a site's own
        yield {"alertname": "NodeDown", "severity": severity}, BY_SEVERITY[severity]
    yield {"alertname": "NodeDown"}, [OF_AN_ALERT]


def wrong(config):
    """Return what is not as the tables have it."""
    found = [
        labels
        for labels, messages in expected()
        if [tuple(route.values()) for route in taken(config["route"], labels)] != messages
    ]
    forms = {
        one.get("name"): {k: v for k, v in one.items() if k != "name"}
        for one in config["receivers"]
    }
    found += [name for name in FORMS.keys() | forms if FORMS.get(name) != forms.get(name)]
    return found + [key for key in SENDER if config["global"].get(key) != SENDER[key]]


def test_each_alert_is_told_to_whom_it_concerns_in_its_time():
    assert wrong(CONFIG) == []


def test_a_receiver_that_is_told_of_a_beginning_is_told_of_the_end_where_somebody_waits_for_it():
    said = {
        one["name"]: entry["send_resolved"]
        for one in CONFIG["receivers"]
        for kind, entries in one.items()
        if kind != "name"
        for entry in entries
    }
    assert said == {"phone": True, "chat": True, "expert": False, "deadman": False}


def test_the_heartbeat_comes_before_the_receiver_elsewhere_gives_up():
    [(_, _, wait, interval, repeat)] = BY_SEVERITY["none"]
    assert (wait, interval) == ("0s", "1m")
    assert int(repeat.removesuffix("s")) < 60  # below the interval: each interval sends


def changed(value):
    """Return values that are a mistake for one."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [value + 1, 0]
    if isinstance(value, str) and value.endswith('"'):  # a matcher
        words = re.findall(r"(?<=[\"|])[\w.+]+", value)
        return [value.replace(word, word + "x") for word in words]
    if isinstance(value, str):
        return [value + "x"]
    if isinstance(value, list):
        return [value[:i] + value[i + 1 :] for i in range(len(value))] + [[*value, "severity"]] * (
            bool(value) and isinstance(value[0], str)
        )
    return []


def places(node, path=()):
    """Yield the path of every key and entry."""
    entries = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in entries:
        yield (*path, key)
        if isinstance(value, (dict, list)):
            yield from places(value, (*path, key))


def mutants():
    """Yield configurations that each have one mistake, with what it is."""
    for part in ("global", "route", "receivers"):
        for path in places(CONFIG[part], (part,)):
            value = CONFIG
            for key in path:
                value = value[key]
            where = ".".join(map(str, path))
            yield f"{where} gone", _put(path)
            for other in changed(value):
                yield f"{where}: {other}"[:80], _put(path, other)


def _put(path, *value):
    config = copy.deepcopy(CONFIG)
    node = config
    for key in path[:-1]:
        node = node[key]
    if value:
        [node[path[-1]]] = value
    else:
        del node[path[-1]]
    return config


SAME = {
    # Alertmanager's own default, which the file says so that people need not know it.
    "route.repeat_interval gone",
    # What the route above says too: a reader need not look there.
    "route.routes.0.group_interval gone",
    "route.routes.1.group_interval gone",
    "route.routes.2.receiver gone",
    "route.routes.3.receiver gone",
    # Warnings that no route takes go to the chat as well.
    'route.routes.3.matchers.0: severity=~"page|warningx"',
}


def test_every_mistake_in_routes_and_receivers_is_noticed():
    made = list(mutants())
    assert len(made) > 100
    alive = [what for what, config in made if not seen(config)]
    assert set(alive) == SAME


def seen(config):
    """Return whether a configuration is found wrong, or no such thing can be read at all."""
    try:
        return bool(wrong(config))
    except (AttributeError, TypeError, KeyError):
        return True
