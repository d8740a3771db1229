"""What a broker lets a client in with."""

from typing import NamedTuple


class Credentials(NamedTuple):
    """What a function for credentials gives; a pair of user name and password would do without a lifetime.

    Attributes:
        username: with OAuth 2 the broker takes it from the token.
        password: or an access token. It is in no representation.
        expires_in: seconds for which it is good from now on, as in an answer of an OAuth 2 server (RFC 6749,
            section 5.1). The function is called again before that, and open connections get what it gives
            then. None: it is good until the broker refuses it.
    """

    username: str
    password: str
    expires_in: float | None = None

    def __repr__(self) -> str:
        return f"Credentials(username={self.username!r}, expires_in={self.expires_in!r})"
