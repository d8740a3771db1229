"""Asking the management API, with deadlines. What an answer means is ``checks.py``'s to say."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import httpx

from rabbitkeeper.coordinator.model.errors import RabbitKeeperError
from rabbitkeeper.coordinator.tls import client_context

_CHECK_FAILED = 503
_OK = 200
_OVERVIEW = "overview?columns=message_stats,queue_totals,object_totals"


class ManagementFailed(RabbitKeeperError):
    """The management API does not answer, or not what was asked. Says nothing of the broker."""


@dataclass(frozen=True, slots=True)
class ManagementSettings:
    """Where the API is, and who asks.

    Args:
        url: without ``/api``.
        user: name and password.
        timeout: seconds for one answer.
        ca_file: a file of certificates to trust; None: the system's.
    """

    url: str
    user: tuple[str, str] = field(repr=False)
    timeout: float = 5.0
    ca_file: str | None = None


class ManagementClient:
    """Belongs to one thread.

    Args:
        settings: where and who.
    """

    def __init__(self, settings: ManagementSettings) -> None:
        self._http = httpx.Client(
            base_url=f"{settings.url.rstrip('/')}/api/",
            auth=settings.user,
            timeout=settings.timeout,
            verify=client_context(settings.ca_file, where="broker.management.ca_file"),
            follow_redirects=False,
            trust_env=False,  # a proxy for the web is none for the broker beside us
        )

    def check(self, path: str) -> Mapping[str, object] | None:
        """Ask a health check.

        Returns:
            None if it is passed, the answer if not.

        Raises:
            ManagementFailed: it was not answered.
        """
        code, body = self._get(path, (_OK, _CHECK_FAILED))
        return None if code == _OK else body if isinstance(body, Mapping) else {}

    def list(self, path: str) -> list[Mapping[str, object]]:
        """Ask for a list.

        Raises:
            ManagementFailed: it was not answered.
        """
        _, body = self._get(path, (_OK,))
        if not isinstance(body, list):
            raise ManagementFailed(f"the management API answered {path} and not with a list")
        return [each for each in body if isinstance(each, Mapping)]

    def overview(self) -> Mapping[str, object]:
        """What the whole cluster carries.

        Raises:
            ManagementFailed: it was not answered.
        """
        _, body = self._get(_OVERVIEW, (_OK,))
        if not isinstance(body, Mapping):
            raise ManagementFailed(f"the management API answered {_OVERVIEW} and not with an object")
        return body

    def close(self) -> None:
        self._http.close()

    def _get(self, path: str, expected: tuple[int, ...]) -> tuple[int, object]:
        try:
            answer = self._http.get(path)
            if answer.status_code not in expected:
                raise ManagementFailed(
                    f"the management API answered {path} with HTTP status {answer.status_code}"
                    + _ADVICE.get(answer.status_code, "")
                )
            return answer.status_code, answer.json()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ManagementFailed(f"the management API does not answer: {type(error).__name__}") from None
        except ValueError:
            raise ManagementFailed(f"the management API answered {path} and not with JSON") from None


_ADVICE = {
    401: ": give the agents' user the tag monitoring",
    404: ": it has no such check",
}
