"""Orders over HTTP with FastAPI: published within the request, packed by tasks of the same process.

uvicorn fastapi_orders:app          (in this folder; where the group is, is taken from the environment)
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException, Request
from pika import BasicProperties
from pydantic import BaseModel, Field

from rabbitkeeper.client import AsyncClient, Message, PublishError, Queue

ORDERS = Queue("recipes-fastapi")


class Order(BaseModel):
    """What is posted."""

    id: str = Field(min_length=1, max_length=60)  # the customer's: the same if the order is posted again
    item: str


async def pack(message: Message) -> None:
    """What is done with each order. Acked when this returns."""
    order = Order.model_validate_json(message.body)
    print(f"packed: {order.id}", flush=True)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, AsyncClient]]:
    """One client for the whole time of the process, on its event loop."""
    async with AsyncClient(
        os.environ["RABBITKEEPER_ZOOKEEPER"],
        os.environ["RABBITKEEPER_GROUP"],
        (os.environ["RABBITKEEPER_USER"], os.environ["RABBITKEEPER_PASSWORD"]),
    ) as client:
        await client.declare(ORDERS)
        async with client.on_message(ORDERS, pack, workers=4, dedupe=10_000, on_error="reject"):
            yield {"client": client}
        # Here no more orders are taken from the queue, and those in hand have been packed.


def client_of(request: Request) -> AsyncClient:
    """The client, for those who ask for it as below."""
    client: AsyncClient = request.state.client
    return client


app = FastAPI(lifespan=lifespan)


@app.post("/orders", status_code=202)
async def take(order: Order, client: Annotated[AsyncClient, Depends(client_of)]) -> dict[str, int]:
    """Take an order. Who is answered with 202 need not post it again: a majority of the brokers has it."""
    properties = BasicProperties(message_id=order.id, content_type="application/json")
    try:
        receipt = await client.publish(
            "", ORDERS.name, order.model_dump_json().encode(), properties, timeout=20
        )
    except PublishError as error:
        raise HTTPException(503, f"post it again, with the same id: {error}") from error
    return {"attempts": receipt.attempts}
