"""The transport for kombu, and so for Celery: ``broker_url = "rabbitkeeper://app:secret@zk1:2181/orders"``.

To import this package is enough for kombu to know the scheme; Celery has it imported by itself.
"""

from rabbitkeeper.client.kombu.registration import register

__all__ = ["register"]
