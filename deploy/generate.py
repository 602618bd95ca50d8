"""Write what is generated under deploy/: `python deploy/generate.py`, or `--check` that it is fresh.

Rules and dashboards name hundreds of series; written by hand they drift from each other and from
the exporter. So they are code, their output is committed, and a test holds the two together.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from consumers.app import settings_page
from consumers.bench import figures_page
from monitor.display import boards
from monitor.display.rules.document import document
from monitor.display.rules.site import Site

HERE = Path(__file__).parent
SITE = HERE / "prometheus" / "site.toml"
HEADER = "# Written by deploy/generate.py: change monitor/display/rules or site.toml instead.\n"


def outputs(site: Site) -> dict[Path, str]:
    """Return every generated file and its text."""
    made = {
        HERE / "grafana" / "dashboards" / name: json.dumps(board, indent=1, ensure_ascii=False)
        + "\n"
        for name, board in boards.all_dashboards().items()
    }
    figures = HERE / "figures"
    return {
        HERE / "prometheus" / "calodqm.rules.yml": rule_file(site),
        HERE / "kubernetes" / "rules.yaml": prometheus_rule(site),
        figures / "README.md": figures_page.page(figures),
        HERE / "guides" / "settings.md": settings_page.page(),
    } | made


def rule_file(site: Site, scale: float = 1.0) -> str:
    """Return the rule file as YAML, every duration divided by the scale."""
    return HEADER + _yaml(document(site, scale))


def prometheus_rule(site: Site) -> str:
    """Return the same rules for a Prometheus operator."""
    wrapped = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "calodqm", "labels": {"app.kubernetes.io/name": "calodqm"}},
        "spec": document(site),
    }
    return HEADER + _yaml(wrapped)


def _yaml(document: dict[str, Any]) -> str:
    text: str = yaml.safe_dump(document, sort_keys=False, width=100, allow_unicode=True)
    return text


def main() -> int:
    """Write or check the files; return 1 if a check finds a stale one."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing, name what is stale")
    parser.add_argument(
        "--site", type=Path, default=SITE, help="what the rules are for (%(default)s)"
    )
    parser.add_argument("--page-url", help="where people reach the page, in place of the site's")
    parser.add_argument("--grafana-url", help="where people reach Grafana, in place of the site's")
    told = parser.parse_args()
    links = {"page_url": told.page_url, "grafana_url": told.grafana_url}
    site = replace(Site.load(told.site), **{k: url for k, url in links.items() if url is not None})
    stale = [
        (path, text)
        for path, text in outputs(site).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    for path, text in stale:
        if told.check:
            print(f"stale: {path}", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
    return int(told.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())
