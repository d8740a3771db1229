"""The page's own files: style, script, picture, with what a cache needs to know.

They are read once, when the API is put together; the scripts become one then, and so do the styles. All of
them lie under one name that is made of what is in them: a page asks for the files that it was made with, and
they can be kept for ever.
"""

import gzip
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from types import MappingProxyType

from rabbitkeeper.agent.dashboard.modules import join_modules

_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_TEMPLATE = "dashboard.html"
_STYLES = ("frame.css", "parts.css")  # in this order
_AS_THEY_ARE = ("mark.svg", "plain.css")
_DIGITS = 16  # of the digest: what two releases have in common by chance is not to be feared


@dataclass(frozen=True, slots=True)
class StaticFile:
    """One file.

    Attributes:
        media_type: with its character set.
        body: what is in it.
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

    @classmethod
    def load(cls) -> "Files":
        """Read what is shipped."""
        folder = resources.files("rabbitkeeper.agent.dashboard") / "static"
        texts = {name: _text(folder / name) for name in _AS_THEY_ARE}
        texts["dashboard.css"] = "\n".join(_text(folder / name) for name in _STYLES)
        scripts = [entry for entry in folder.iterdir() if entry.name.endswith(".js")]
        texts["dashboard.js"] = join_modules({entry.name[:-3]: _text(entry) for entry in scripts})
        template = _text(folder / _TEMPLATE)
        whole = hashlib.sha256("\0".join((template, *map("\0".join, texts.items()))).encode())
        files = {name: _file(name, text.encode()) for name, text in texts.items()}
        return cls(template, MappingProxyType(files), whole.hexdigest()[:_DIGITS])


def _text(file: Traversable) -> str:
    return file.read_text(encoding="utf-8")


def _file(name: str, body: bytes) -> StaticFile:
    media_type = _TYPES[name[name.rfind(".") :]]
    tag = hashlib.sha256(body).hexdigest()[:_DIGITS]
    return StaticFile(media_type, body, gzip.compress(body, mtime=0), tag)
