"""Work for several processors: three processes share a queue, each with a client of its own.

python worker_processes.py JOBS     publishes so many, and works until Ctrl-C or SIGTERM
"""

import os
import signal
import sys
import threading
import time
from multiprocessing import Process

from rabbitkeeper.client import Client, Message, Queue

JOBS = Queue("recipes-processes")


def connected() -> Client:
    """A client for the process that calls it. It has threads and sockets, which no fork takes along."""
    client = Client(
        os.environ["RABBITKEEPER_ZOOKEEPER"],
        os.environ["RABBITKEEPER_GROUP"],
        (os.environ["RABBITKEEPER_USER"], os.environ["RABBITKEEPER_PASSWORD"]),
    )
    client.declare(JOBS)
    return client


def do(message: Message) -> None:
    """One job. Acked when this returns; one whose process dies goes to another."""
    time.sleep(0.01)
    sys.stdout.write(f"done by {os.getpid()}: {message.body.decode()}\n")  # whole: others write as well
    sys.stdout.flush()


def work() -> None:
    """What each of the processes runs."""
    stopping = threading.Event()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to all; the first process decides
    signal.signal(signal.SIGTERM, lambda *_: stopping.set())
    # A small prefetch: what one process has is not done by another that has nothing to do.
    with connected() as client, client.on_message(JOBS, do, prefetch=4):
        stopping.wait()


def main(jobs: int) -> None:
    """Start the processes, publish, and end them when this one is to end."""
    workers = [Process(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()  # before this process has a client: a fork copies one thread and no other
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with connected() as client:
            for number in range(1, jobs + 1):
                client.publish("", JOBS.name, f"job {number}".encode())
        for worker in workers:
            worker.join()
    except KeyboardInterrupt:
        for worker in workers:
            worker.terminate()
        for worker in workers:
            worker.join()
        print(f"ended: {[worker.exitcode for worker in workers]}", flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
