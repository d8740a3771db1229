"""A program ends when it ends, whatever the threads of its ZooKeeper clients wait for."""

import subprocess
import sys

ENDS = """
import threading
from rabbitkeeper.coordinator.zookeeper.client import Handler

handler = Handler(10.0, 1)
handler.start()
taken = threading.Event()
handler.completion_queue.put(lambda: (taken.set(), threading.Event().wait()))
taken.wait()
print("done", flush=True)
"""


def test_a_thread_of_kazoos_that_waits_does_not_hold_up_the_programs_end() -> None:
    done = subprocess.run(
        [sys.executable, "-c", ENDS], capture_output=True, text=True, timeout=60, check=True
    )
    assert (done.stdout, done.stderr) == ("done\n", "")
