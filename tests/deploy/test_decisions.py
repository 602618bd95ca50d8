"""Decisions: one file each, numbered, in the index, and superseded in words that agree."""

import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "deploy" / "decisions"
FILES = sorted(path for path in FOLDER.iterdir() if path.name != "README.md")
FIELDS = ("Date", "Subject", "Status", "Supersedes", "Supersedes in part")
WHOLE, PART = "superseded by ", "superseded in part by "
REFERENCE = re.compile(r"\[(\d{4})\]\((\d{4}-[a-z0-9-]+\.md)\)")
EXAMPLE = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
ENTRY = re.compile(
    r"- (?P<struck>~~)?(?P<number>\d{4}) · \[(?P<title>.+?)\]\((?P<file>[^)]+)\)(?(struck)~~)"
    r"(?: · (?P<status>superseded .+))?"
)


@dataclass(frozen=True)
class Decision:
    """What the head of a file says."""

    number: str
    title: str
    fields: dict[str, str]
    body: str


def read(path: Path) -> Decision:
    """Return a decision; its fields are the lines of its head, of which each stands alone."""
    heading, *blocks = path.read_text().strip("\n").split("\n\n")
    found = re.fullmatch(r"# (\d{4}) · (.+)", heading)
    assert found, f"{path.name} begins with {heading!r}"
    number, title = found.groups()
    fields = {}
    while blocks and (found := re.fullmatch(rf"({'|'.join(FIELDS)}): (.+)", blocks[0])):
        assert found[1] not in fields, f"{path.name} says {found[1]} twice"
        fields[found[1]] = found[2]
        del blocks[0]
    return Decision(number, title, fields, "\n\n".join(blocks))


DECISIONS = {path.name: read(path) for path in FILES}


def without_code(text: str) -> str:
    """Return a page without what stands in it as an example."""
    return re.sub(r"`[^`\n]+`", "", EXAMPLE.sub("", text))


def entries() -> list[tuple[str, dict[str, str | None]]]:
    """Return the index: the subject and the parts of each line."""
    subject, found = "", []
    for line in EXAMPLE.sub("", (FOLDER / "README.md").read_text()).splitlines():
        if line.startswith("## "):
            subject = line.removeprefix("## ")
        elif line.startswith("- "):
            entry = ENTRY.fullmatch(line)
            assert entry, f"not a line of the index: {line}"
            found.append((subject, entry.groupdict()))
    return found


def named(text: str) -> list[str]:
    """Return the files that a status, or a line of the index, names."""
    return [name for _, name in REFERENCE.findall(text)]


def test_numbers_run_without_gaps_or_repeats():
    numbers = [int(path.name[:4]) for path in FILES]
    assert numbers == list(range(1, len(FILES) + 1))


@pytest.mark.parametrize("name", DECISIONS)
def test_a_decision_has_a_name_a_number_a_date_a_subject_and_something_to_say(name):
    decision = DECISIONS[name]
    assert re.fullmatch(r"\d{4}(-[a-z0-9]+)+\.md", name)
    assert decision.number == name[:4]
    assert list(decision.fields) == [field for field in FIELDS if field in decision.fields]
    said = decision.fields["Date"]
    assert date.fromisoformat(said).isoformat() == said
    assert decision.fields["Subject"]
    assert decision.body.startswith("- ")
    assert not re.search(rf"(?m)^({'|'.join(FIELDS)}):", decision.body), "a field in the body"


def test_dates_do_not_run_backwards():
    dates = [decision.fields["Date"] for decision in DECISIONS.values()]
    assert dates == sorted(dates)


def test_the_index_has_every_decision_once_with_its_title_under_its_subject():
    listed = [(e["number"], e["title"], e["file"], subject) for subject, e in entries()]
    held = [(d.number, d.title, name, d.fields["Subject"]) for name, d in DECISIONS.items()]
    assert sorted(listed) == sorted(held)


def test_the_index_is_in_order_under_each_subject():
    lines = [(subject, entry["number"]) for subject, entry in entries()]
    subjects = list(dict.fromkeys(subject for subject, _ in lines))
    assert lines == sorted(lines, key=lambda line: (subjects.index(line[0]), line[1]))


def test_the_index_marks_what_is_superseded_and_strikes_what_is_so_in_whole():
    for _, entry in entries():
        status = DECISIONS[entry["file"]].fields.get("Status", "")
        told = entry["status"] or ""
        assert named(told) == named(status), entry["file"]
        assert told.startswith(PART) == status.startswith(PART), entry["file"]
        assert bool(entry["struck"]) == status.startswith(WHOLE), entry["file"]


def test_supersession_is_said_by_both_sides_in_the_same_words():
    older, newer = set(), set()
    for name, decision in DECISIONS.items():
        status = decision.fields.get("Status")
        if status is not None:
            kind = next((kind for kind in (WHOLE, PART) if status.startswith(kind)), None)
            assert kind, f"{name}: {status}"
            said = told(status.removeprefix(kind))
            older |= {(name, other, kind, part) for other, part in said}
        for field, kind in (("Supersedes", WHOLE), ("Supersedes in part", PART)):
            said = told(decision.fields[field]) if field in decision.fields else []
            newer |= {(other, name, kind, part) for other, part in said}
    assert older == newer
    assert all(new > old for old, new, _, _ in older), "superseded by an earlier one"
    assert all(bool(part) == (kind == PART) for _, _, kind, part in older), "which part?"


def told(text: str) -> list[tuple[str, str]]:
    """Return the files that a field names and, in brackets, which part of them it means.

    >>> told("[0002](0002-b.md) (this, and that), [0003](0003-c.md)")
    [('0002-b.md', 'this, and that'), ('0003-c.md', '')]
    """
    one = REFERENCE.pattern + r"(?: \(([^()]+)\))?"
    assert re.fullmatch(rf"{one}(?:, {one})*", text), f"not a list of decisions: {text}"
    return [(name, part) for _, name, part in re.findall(one, text)]


def test_a_reference_has_the_number_of_its_file():
    for path in (FOLDER / "README.md", *FILES):
        for number, name in REFERENCE.findall(without_code(path.read_text())):
            assert number == name[:4], path.name


def test_the_readme_leads_to_the_index():
    readme = FOLDER.parents[1] / "README.md"
    assert "(deploy/decisions/README.md)" in readme.read_text()
