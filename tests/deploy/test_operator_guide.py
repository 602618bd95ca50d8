"""The operator's guide: its table of rights is the one that the doctor goes by, its settings are ours."""

import re

from deployed import DEPLOY

from consumers.app.settings import PREFIX, Settings
from consumers.wire import topics

TEXT = (DEPLOY / "guides" / "operator.md").read_text(encoding="utf-8")
COLUMNS = {"score": 1, "judge": 2, "page": 3}


def rows():
    section = TEXT.split("## Who may do what")[1].split("##")[0]
    cells = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in section.splitlines()
        if "|" in line
    ]
    return {row[0]: row for row in cells if row[0].startswith("calo.")}


def test_the_table_of_rights_is_the_one_that_the_doctor_goes_by():
    table = rows()
    for role, column in COLUMNS.items():
        told = {name: frozenset(row[column].split()) for name, row in table.items() if row[column]}
        assert told == topics.RIGHTS[role]


def test_every_setting_that_the_code_names_is_one():
    ours = {f"{PREFIX}{name.upper()}" for name in Settings.model_fields}
    code = "".join(path.read_text() for path in (DEPLOY.parent / "consumers").rglob("*.py"))
    assert set(re.findall(rf"{PREFIX}[A-Z_]*[A-Z]", code)) <= ours


def test_every_setting_says_what_it_is_for():
    for name, field in Settings.model_fields.items():
        assert field.description, name
