"""What people read: every command line, link, path, port, setting, topic and series in it is ours."""

import contextlib
import io
import re
import shlex
from functools import cache

import pytest
from deployed import DEPLOY, loaded, rules
from standings import CHANNELS, expositions, standing

from consumers.app.settings import PREFIX, Settings
from consumers.cli import command
from consumers.http.page import RUNBOOKS
from consumers.wire import topics

ROOT = DEPLOY.parent
PAGES = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for path in [
        ROOT / "README.md",
        *sorted((DEPLOY / "guides").glob("*.md")),
        *sorted(RUNBOOKS.glob("*.md")),
        *sorted((DEPLOY / "site").glob("*.md")),
    ]
}
LINKED = PAGES | {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for folder in ("deploy/decisions", "deploy/figures", "models")
    for path in sorted((ROOT / folder).rglob("*.md"))
}
pages = pytest.mark.parametrize("name", PAGES)


def command_lines(text):
    """Return what is to be typed after `calodqm`, inline or in a block, as it is written."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.split("#")[0] for block in blocks for line in block.splitlines()]
    prose = re.sub(r"^```\w*\n.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)
    lines += re.findall(r"`([^`]+)`", prose)
    typed = [
        re.search(r"(?:^|-- |exec \w+ |[A-Z_]+=\S+ )calodqm (.+)", line.strip()) for line in lines
    ]
    return [found[1] for found in typed if found]


def mistake(line):
    """Return what the command line says against a line; '' if it takes it, or lacks only words."""
    words = shlex.split(re.split(r" [>|<&](?: |$)", re.sub(r"(^| )\.{3}$", "", line.strip()))[0])
    for _ in range(10):
        said = io.StringIO()
        try:
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                command.parser(words).parse_args(words)
        except SystemExit as end:
            text = said.getvalue()
            number = re.search(r"invalid (?:int|float) value: '([A-Z]+)'", text)
            if number:  # a capital stands for a number
                words = ["1" if word == number[1] else word for word in words]
                continue
            if end.code == 0 or "the following arguments are required" in text:
                return ""
            return text.strip().splitlines()[-1]
        return ""
    return "too many numbers"


@pages
def test_every_command_line_can_be_typed_as_it_is_written(name):
    wrong = {line: said for line in command_lines(PAGES[name]) if (said := mistake(line))}
    assert wrong == {}


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("reference rollback --until TIME --force", "unrecognized arguments"),
        ("model install DIR", "invalid choice"),
        ("jugde", "invalid choice"),
        ("flags export --run 1 --form lists", "invalid choice"),
        ("ack A --cause", "expected one argument"),
    ],
)
def test_a_command_line_that_is_wrong_is_seen(line, said):
    assert said in mistake(line)
    assert command_lines(f"Type `calodqm {line}` now.") == [line]
    assert command_lines(f"```\ncalodqm {line}  # as root\n```\n")[0].strip() == line


@pytest.mark.parametrize("name", LINKED)
def test_every_link_leads_to_a_file_and_a_heading_that_there_are(name):
    here = (ROOT / name).parent
    for link in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"`[^`]*`", "", LINKED[name])):
        if re.match(r"https?://|mailto:", link):
            continue
        path, _, heading = link.partition("#")
        found = (here / path).resolve() if path else ROOT / name
        if RUNBOOKS in (ROOT / name).parents:  # the page serves them under their names
            found = RUNBOOKS / f"{path}.md"
        assert found.exists(), link
        if heading:
            assert heading in headings(found.read_text(encoding="utf-8")), link


def headings(text):
    found = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", one.lower()).replace(" ", "-") for one in found}


@pages
def test_every_path_that_is_named_is_there(name):
    for path in re.findall(r"`((?:deploy|models|monitor|consumers|tests)/[\w./*-]+)`", PAGES[name]):
        assert list(ROOT.glob(path.rstrip("/"))), path


@pages
def test_every_setting_and_topic_that_is_named_is_one(name):
    ours = {f"{PREFIX}{field.upper()}" for field in Settings.model_fields}
    for setting in re.findall(rf"{PREFIX}[A-Z_]+(?![A-Z_*])", PAGES[name]):
        assert setting in ours or any(one.startswith(setting) for one in ours), setting
    known = {value for value in vars(topics).values() if isinstance(value, str)}
    assert set(re.findall(r"calo\.\w+\.v\d", PAGES[name])) <= known


@cache
def series():
    exposition, _, judge = expositions()
    judge.standing(standing(channels=CHANNELS))
    exported = exposition.render()[0].decode()
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    return set(re.findall(r"^# \w+ (calodqm_\w+)", exported, re.MULTILINE)) | recorded


@pages
def test_every_series_that_is_named_is_exported(name):
    for one in re.findall(r"\bcalodqm_[a-z_]+\b(?!\*)", PAGES[name]):
        bare = re.sub(r"_(total|bucket|count|sum|info)$", "", one)
        assert any(known in {one, bare} for known in series()), one


@pages
def test_every_port_on_this_machine_is_one_that_something_listens_on(name):
    compose = loaded((DEPLOY / "compose.yaml").read_text())["services"].values()
    told = {word.rsplit(":", 2)[-2] for one in compose for word in one.get("ports", ())}
    told |= {str(Settings.model_fields["http_port"].default), "9092"}
    found = set(re.findall(r"(?:127\.0\.0\.1|localhost|\[::1\]):(\d{2,5})", PAGES[name]))
    assert found <= told
