"""Prints what pyproject.toml says the project depends on: ``dependencies.py PYPROJECT EXTRA,EXTRA``.

So that an image can install it before it has the source: that layer is then built once, not at each change.
"""

import sys
import tomllib
from pathlib import Path


def main(file: str, extras: str) -> None:
    project = tomllib.loads(Path(file).read_text())
    wanted = [*project["build-system"]["requires"], *project["project"]["dependencies"]]
    own = project["project"]["name"] + "["
    waiting = extras.split(",")
    while waiting:
        for requirement in project["project"]["optional-dependencies"][waiting.pop()]:
            if requirement.startswith(own):
                waiting += requirement.removeprefix(own).rstrip("]").split(",")
            else:
                wanted.append(requirement)
    sys.stdout.write("\n".join(wanted) + "\n")


main(*sys.argv[1:])
