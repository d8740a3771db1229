"""Arguments of a client: checked on the caller's thread, before anything is made. Each function raises
``InvalidArgument``, with the argument and what would be right."""

import ssl
from collections.abc import Callable

from rabbitkeeper.client.model.checks import check_short, check_text, check_timeout, shown
from rabbitkeeper.client.model.credentials import Credentials
from rabbitkeeper.client.model.errors import InvalidArgument
from rabbitkeeper.client.model.topology import Queue


def check_credentials(credentials: object) -> tuple[str, str]:
    """User name and password, which are given once."""
    if isinstance(credentials, Credentials) and credentials.expires_in is not None:
        raise InvalidArgument("credentials that expire come from a function, which is called before they do")
    username, password, _ = _checked(credentials)
    return username, password


def asks_for(credentials: Callable[[], object]) -> Callable[[], Credentials]:
    """What gives them whenever it is called, as ``credentials`` gives them, checked."""
    return lambda: _checked(credentials())


def _checked(credentials: object) -> Credentials:
    match credentials:
        case (str(username), str(password)) | Credentials(str(username), str(password)):
            check_text("the user name", username)
            try:
                password.encode()
            except UnicodeEncodeError:
                raise InvalidArgument("the password is not valid: it has a lone surrogate in it") from None
            expires_in = credentials.expires_in if isinstance(credentials, Credentials) else None
            if expires_in is not None:
                check_timeout("expires_in", expires_in)
            return Credentials(username, password, expires_in)
    raise InvalidArgument(
        "credentials are not valid: use a pair of strings, (user name, password), or a function that "
        "gives one"
    )


def tls_context(tls: object) -> ssl.SSLContext | None:
    """How to connect with TLS; None: without."""
    if tls is True:
        return ssl.create_default_context()
    if tls is None or tls is False:
        return None
    if not isinstance(tls, ssl.SSLContext):
        raise InvalidArgument(f"tls of type {type(tls).__name__} is not valid: use an ssl.SSLContext or True")
    return tls


def check_texts(*, virtual_host: object, name: object) -> None:
    """Where to connect to, and as what."""
    check_short("virtual_host", virtual_host)
    check_text("name", name)


def queue_name(queue: Queue | str) -> str:
    """The name of a queue that is given by it, or as what was declared."""
    name = queue.name if isinstance(queue, Queue) else queue
    check_short("queue", name, empty=False)
    return name


def check_timeouts(**timeouts: object) -> None:
    """Times to wait."""
    for key, value in timeouts.items():
        check_timeout(key, value)


def check_limits(**limits: object) -> None:
    """Finite numbers of 1 or more."""
    for key, value in limits.items():
        if isinstance(value, bool) or not isinstance(value, int | float) or not 1 <= value < float("inf"):
            raise InvalidArgument(f"{key} {shown(value)} is not valid: use a whole number from 1 on")


def check_number(key: str, value: object, least: int, most: int) -> None:
    """A whole number in these limits."""
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise InvalidArgument(f"{key} {shown(value)} is not valid: use a number from {least} to {most}")


def check_flag(key: str, value: object) -> None:
    """True or False, and nothing that is taken for one of them."""
    if not isinstance(value, bool):
        raise InvalidArgument(f"{key} {shown(value)} is not valid: use True or False")


def check_absent(other: str, **values: object) -> None:
    """What is of no use without ``other``."""
    for key, value in values.items():
        if value is not None:
            raise InvalidArgument(f"{key} is given without {other}: leave it out, or give {other}")


def check_spread(spread: object, site: object) -> None:
    """Where to connect to."""
    if spread not in ("leader", "members", "site"):
        raise InvalidArgument(f"spread {spread!r} is not valid: use 'leader', 'members' or 'site'")
    if (spread == "site") != (site is not None) or not isinstance(site, str | None):
        raise InvalidArgument(f"site {site!r} is not valid with spread={spread!r}: name it for 'site' alone")
