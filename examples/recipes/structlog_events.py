"""One log of JSON lines with structlog: what the application says, and what becomes of its connection.

python structlog_events.py 100      publishes so many orders
"""

import logging
import os
import sys
import time

import structlog

from rabbitkeeper.client import Client, EventLog, Queue

ORDERS = Queue("recipes-structlog")
# Of an event's fields; its name, "event", is structlog's word for the sentence, which begins with it.
FIELDS = ["group", "member", "epoch", "event_id"]


def configure() -> None:
    """Let structlog's lines and those of the standard library's loggers go one way."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[*shared, structlog.stdlib.ExtraAdder(FIELDS)],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(level=logging.INFO, handlers=[handler])


def main(count: int) -> None:
    """Publish orders, and log each with what is bound to it."""
    configure()
    log: structlog.stdlib.BoundLogger = structlog.get_logger("orders")
    group = os.environ["RABBITKEEPER_GROUP"]
    with Client(
        os.environ["RABBITKEEPER_ZOOKEEPER"],
        group,
        (os.environ["RABBITKEEPER_USER"], os.environ["RABBITKEEPER_PASSWORD"]),
    ) as client:
        client.on_event(EventLog(group))
        client.declare(ORDERS)
        for number in range(1, count + 1):
            with structlog.contextvars.bound_contextvars(order=number):
                receipt = client.publish("", ORDERS.name, b"an order")
                log.info("confirmed", message_id=receipt.message_id, attempts=receipt.attempts)
            time.sleep(0.05)


if __name__ == "__main__":
    main(int(sys.argv[1]))
