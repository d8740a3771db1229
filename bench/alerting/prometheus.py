"""A real Prometheus over a group's agents. Starts it, and asks it for its alerts; knows nothing of faults."""

import json
import os
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rabbitkeeper.compose.local.errors import LocalError
from rabbitkeeper.compose.local.guardian import Guardian
from rabbitkeeper.compose.local.ports import LOOPBACK

BETWEEN = 2  # seconds between scrapes, and between evaluations of the rules
_UP_WITHIN = 60.0  # seconds until it answers
_ANSWER = 10.0  # seconds for one answer


class Prometheus:
    """Ended with its guardian.

    Args:
        guardian: starts it; its files are in ``prometheus`` of the guardian's folder.
        port: of loopback, to listen on.
        targets: ``host:port`` of the agents.
        rules: the text of its rules.
    """

    def __init__(self, guardian: Guardian, port: int, targets: Sequence[str], rules: str) -> None:
        folder = guardian.folder / "prometheus"
        folder.mkdir()
        (folder / "alerts.yml").write_text(rules)
        config = folder / "prometheus.yml"
        config.write_text(_configuration(targets))
        self._url = f"http://{LOOPBACK}:{port}"
        self._child = guardian.spawn(
            "Prometheus",
            [
                "prometheus",
                f"--config.file={config}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={LOOPBACK}:{port}",
            ],
            env={"PATH": os.environ["PATH"]},
            log=folder / "prometheus.log",
            cwd=folder,
        )

    @property
    def log(self) -> Path:
        return self._child.log

    def wait_ready(self) -> None:
        """Wait until it answers.

        Raises:
            LocalError: it has ended, or does not answer in time.
        """
        deadline = time.monotonic() + _UP_WITHIN
        while True:
            try:
                self.alerts()
            except (OSError, ValueError) as error:
                if self._child.status is not None or time.monotonic() > deadline:
                    raise LocalError(
                        f"Prometheus does not answer ({error}); its log says: {self._child.last_lines()}"
                    ) from error
                time.sleep(0.1)
            else:
                return

    def alerts(self) -> dict[str, str]:
        """``pending`` or ``firing`` of each alert that is either, by name."""
        states: dict[str, str] = {}
        for alert in self._ask("/api/v1/alerts")["alerts"]:
            name = alert["labels"]["alertname"]
            if states.get(name) != "firing":
                states[name] = alert["state"]
        return states

    def targets_up(self) -> int:
        """How many agents it has scraped."""
        return sum(target["health"] == "up" for target in self._ask("/api/v1/targets")["activeTargets"])

    def _ask(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._url}{path}", timeout=_ANSWER) as answer:  # noqa: S310 - loopback
            content: dict[str, Any] = json.load(answer)["data"]
        return content


def _configuration(targets: Sequence[str]) -> str:
    content = {
        "global": {
            "scrape_interval": f"{BETWEEN}s",
            "scrape_timeout": f"{BETWEEN}s",
            "evaluation_interval": f"{BETWEEN}s",
        },
        "rule_files": ["alerts.yml"],
        "scrape_configs": [{"job_name": "rabbitkeeper", "static_configs": [{"targets": list(targets)}]}],
    }
    return json.dumps(content)  # JSON is YAML
