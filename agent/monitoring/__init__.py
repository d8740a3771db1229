"""What Prometheus and Grafana are given: rules for alerts, and a board; files that are shipped as they are.

Metrics are ``agent/api/metrics.py``'s. A test holds that these files name none that is not there.
"""

from importlib import resources


def alerts() -> str:
    """The rules, for ``rule_files`` of Prometheus' configuration."""
    return _text("alerts.yml")


def board() -> str:
    """The board, to be imported into Grafana."""
    return _text("board.json")


def _text(name: str) -> str:
    return resources.files(__name__).joinpath(name).read_text(encoding="utf-8")
