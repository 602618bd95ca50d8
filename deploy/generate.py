"""Write what is generated under deploy/: `python deploy/generate.py`, or `--check` that it is fresh.

Rules and dashboards name hundreds of series; written by hand they drift from each other and from
the exporter. So they are code, their output is committed, and a test holds the two together.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import yaml
from prometheus import rules

from consumers.app import settings_page
from consumers.bench import figures_page
from monitor.display import boards

HERE = Path(__file__).parent


def outputs() -> dict[Path, str]:
    """Return every generated file and its text."""
    made = {
        HERE / "grafana" / "dashboards" / name: json.dumps(board, indent=1, ensure_ascii=False)
        + "\n"
        for name, board in boards.all_dashboards().items()
    }
    figures = HERE / "figures"
    made[figures / "README.md"] = figures_page.page(figures)
    made[HERE / "guides" / "settings.md"] = settings_page.page()
    return {HERE / "prometheus" / "calodqm.rules.yml": rule_file()} | made


def rule_file(scale: float = 1.0) -> str:
    """Return the rule file as YAML, every duration divided by the scale."""
    header = "# Written by deploy/generate.py: change deploy/prometheus/rules.py instead.\n"
    body: str = yaml.safe_dump(
        rules.document(scale), sort_keys=False, width=100, allow_unicode=True
    )
    return header + body


def main() -> int:
    """Write or check the files; return 1 if a check finds a stale one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, name what is stale")
    check = parser.parse_args().check
    stale = [
        path
        for path, text in outputs().items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path in stale:
        if check:
            print(f"stale: {path}", file=sys.stderr)
        else:
            path.write_text(outputs()[path], encoding="utf-8")
    return int(check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
