"""Orders over HTTP with Django, in one file; each process of the server has a client of its own.

gunicorn --config gunicorn_conf.py django_orders:application    (where the group is, is in the environment)
"""

import os
import threading
from functools import cache

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, JsonResponse
from django.urls import path

from rabbitkeeper.client import Client, PublishError, Queue

ORDERS = Queue("recipes-django")

_one_at_a_time = threading.Lock()


def client() -> Client:
    """This process's client, for all of its threads; made when the first one asks for it."""
    with _one_at_a_time:
        return _client_of(os.getpid())


@cache
def _client_of(_process: int) -> Client:
    made = Client(
        os.environ["RABBITKEEPER_ZOOKEEPER"],
        os.environ["RABBITKEEPER_GROUP"],
        (os.environ["RABBITKEEPER_USER"], os.environ["RABBITKEEPER_PASSWORD"]),
    )
    made.declare(ORDERS)
    return made


def orders(request: HttpRequest) -> HttpResponse:
    """Take an order: its answer is 202 when a majority of the brokers has it."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    try:
        receipt = client().publish("", ORDERS.name, request.body, timeout=20)
    except PublishError as error:
        return JsonResponse({"error": str(error)}, status=503)
    return JsonResponse({"attempts": receipt.attempts, "process": os.getpid()}, status=202)


urlpatterns = [path("orders", orders)]
settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["127.0.0.1"])
application = get_wsgi_application()
