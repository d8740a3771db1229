"""Writes what ``dpkg-query`` tells of an image as a CycloneDX bill of materials; ``./dev sbom`` runs it.

    dpkg-query --show --showformat '${Package}\\t${Version}\\t${Architecture}\\t${source:Package}\\n' |
        debian_sbom.py IMAGE

Standard library alone: it is no part of what is installed.
"""

import json
import sys
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote


def bill(image: str, lines: Iterable[str]) -> dict[str, Any]:
    """CycloneDX 1.5, a component for each package.

    Args:
        image: its name.
        lines: of a package each: name, version, architecture and source package, with tabs between.

    Source: cyclonedx.org/docs/1.5/json, and package-url's type ``deb``.
    """
    components = []
    for line in lines:
        name, version, architecture, source = line.rstrip("\n").split("\t")
        purl = f"pkg:deb/debian/{quote(name)}@{quote(version)}?arch={architecture}&source={quote(source)}"
        components.append(
            {"type": "library", "bom-ref": purl, "name": name, "version": version, "purl": purl}
        )
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": {"type": "container", "name": image}},
        "components": components,
    }


if __name__ == "__main__":
    json.dump(bill(sys.argv[1], sys.stdin), sys.stdout, indent=1)
