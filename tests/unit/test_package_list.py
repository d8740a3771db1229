"""The list of packages that are installed, which is kept by hand."""

import tomllib

from support.source_tree import PACKAGES, ROOT


def test_every_folder_with_modules_is_in_the_list() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    folders = {file.parent for package in PACKAGES for file in (ROOT / package).rglob("*.py")}
    folders -= {ROOT / "compose" / "images"}  # built into the demo's images, and not imported
    assert sorted(listed) == sorted(
        ".".join(("rabbitkeeper", *folder.relative_to(ROOT).parts)) for folder in folders
    )
    assert all((folder / "__init__.py").is_file() for folder in folders)
