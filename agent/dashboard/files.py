"""The page's own files: style, scripts, picture, as they are shipped, with what a cache needs to know.

They are read once, when the API is put together. All of them lie under one name that is made of what is in
them: a page asks for the files that it was made with, and they can be kept for ever.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_TEMPLATE = "dashboard.html"
_DIGITS = 16  # of the digest: what two releases have in common by chance is not to be feared


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file.

    Attributes:
        media_type: with its character set.
        body: as it is shipped.
        packed: the same, with gzip.
        tag: of what is in it; an entity tag without its quotes.
    """

    media_type: str
    body: bytes
    packed: bytes
    tag: str


@dataclass(frozen=True, slots=True)
class Files:
    """All of them.

    Attributes:
        template: the page, with places for what is made.
        files: the others, by name.
        digest: of everything.
    """

    template: str
    files: Mapping[str, StaticFile]
    digest: str

    @property
    def scripts(self) -> tuple[str, ...]:
        """The names of the scripts, in order."""
        return tuple(name for name in sorted(self.files) if name.endswith(".js"))

    @classmethod
    def load(cls) -> "Files":
        """Read what is shipped."""
        files, whole = {}, hashlib.sha256()
        folder = resources.files("rabbitkeeper.agent.dashboard") / "static"
        for entry in sorted(folder.iterdir(), key=lambda one: one.name):
            suffix = entry.name[entry.name.rfind(".") :]
            body = entry.read_bytes()
            whole.update(entry.name.encode() + b"\0" + body)
            if suffix in _TYPES:
                tag = hashlib.sha256(body).hexdigest()[:_DIGITS]
                files[entry.name] = StaticFile(_TYPES[suffix], body, gzip.compress(body, mtime=0), tag)
        template = (folder / _TEMPLATE).read_text(encoding="utf-8")
        return cls(template, MappingProxyType(files), whole.hexdigest()[:_DIGITS])
