"""Posts events to an operator's URL, as JSON: a few attempts each, within a deadline."""

import logging
import time
from collections.abc import Callable

from rabbitkeeper.agent.notify.event_log import fields
from rabbitkeeper.agent.notify.events import Event
from rabbitkeeper.agent.runtime.clocks import monotonic
from rabbitkeeper.coordinator.tls import client_context

LOG = logging.getLogger("rabbitkeeper.agent.hooks")

ATTEMPTS = 3
_PAUSE = 1.0  # seconds before the second attempt, twice that before the third
_ATTEMPT_TIMEOUT = 5.0  # seconds for each step of one attempt
_TOO_MANY = 429  # the one refusal that another attempt may undo


class Webhook:
    """Posts events to one URL.

    Args:
        url: where to; never logged, since it may hold a secret.
        timeout: seconds for one event, with all its attempts.
        clock: monotonic seconds.
        sleep: waits for seconds.
    """

    def __init__(
        self,
        url: str,
        timeout: float,
        *,
        clock: Callable[[], float] = monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        import httpx  # only with a webhook: it costs memory

        self._httpx = httpx
        self._url = url
        # Only to this URL: no redirect, and no proxy that the environment names.
        self._client = httpx.Client(verify=client_context(where="hooks.webhook"), trust_env=False)
        self._timeout = timeout
        self._clock = clock
        self._sleep = sleep

    def call(self, event: Event) -> str:
        """Post it, a few times if need be.

        Returns:
            ``done`` or ``failed``.
        """
        deadline = self._clock() + self._timeout
        problem = "no time was left for an attempt"
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(_PAUSE * attempt)
            left = deadline - self._clock()
            if left <= 0:
                break
            status, problem = self._post(event.content(), min(left, _ATTEMPT_TIMEOUT))
            if status is not None and status < 300:
                return "done"
            if status is not None and status < 500 and status != _TOO_MANY:
                break  # it would not be taken another time either
        LOG.warning(
            "the webhook for %s of %s has failed: %s", event.kind, event.member, problem, extra=fields(event)
        )
        return "failed"

    def _post(self, body: dict[str, object], timeout: float) -> tuple[int | None, str]:
        try:
            with self._client.stream(
                "POST", self._url, json=body, timeout=timeout, follow_redirects=False
            ) as answer:
                return answer.status_code, f"it answered {answer.status_code}"
        except self._httpx.HTTPError as error:
            return None, type(error).__name__
        except self._httpx.InvalidURL:
            return None, "the URL is not valid"
