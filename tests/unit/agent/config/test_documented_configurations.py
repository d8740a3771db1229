"""The configurations that the documents show are ones that an agent would take."""

import re
import subprocess
from pathlib import Path

import pytest

from rabbitkeeper.agent.config import load

ROOT = Path(__file__).parents[4]


def blocks(document: Path) -> list[str]:
    """The YAML blocks that are whole configurations, without the indentation of the list they stand in."""
    found = re.findall(r"^( *)```yaml\n(.*?)^ *```", document.read_text(), re.MULTILINE | re.DOTALL)
    texts = ["\n".join(line.removeprefix(indent) for line in text.splitlines()) for indent, text in found]
    return [text for text in texts if text.startswith("group:")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the documents have in /etc/rabbitkeeper."""
    folder = tmp_path_factory.mktemp("etc")
    script = ROOT / "examples" / "tls" / "make-certificates"
    subprocess.run([script, folder, "host1"], check=True, timeout=60)
    for name in ("password", "zookeeper-password", "token"):
        (folder / name).write_text(f"the {name} of a test\n")
    return folder


@pytest.mark.parametrize("number", range(2))
def test_deployment(folder: Path, number: int) -> None:
    shown = blocks(ROOT / "docs" / "deployment.md")
    assert len(shown) == 2
    file = folder / "agent.yml"
    file.write_text(shown[number].replace("/etc/rabbitkeeper", str(folder)))
    assert load(file).group == "orders"
