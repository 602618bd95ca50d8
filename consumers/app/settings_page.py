"""Settings' page: every variable, its default and what it is for, from the settings themselves."""

from __future__ import annotations

from consumers.app.environment import shown
from consumers.app.settings import PREFIX, SERVICE, Settings

HEAD = f"""\
# Settings

Made by `python deploy/generate.py` of the code. All are variables `{PREFIX}*`; those marked * are options of `calodqm run`, `score` and `judge` too. Which matter, and when: [the operator's guide](operator.md#settings).

| variable | default | what |
|---|---|---|
"""


def page() -> str:
    """Return the page."""
    rows = []
    for name, field in Settings.model_fields.items():
        star = " *" if name in SERVICE else ""
        about = " ".join((field.description or "").split()).replace("|", "or")
        default = shown(name) or "none"
        rows.append(f"| `{PREFIX}{name.upper()}`{star} | {default} | {about} |\n")
    return HEAD + "".join(rows)
