"""What health checks cost the agent: its loop's turns with and without thousands of checks a minute.

One ZooKeeper and one broker with its agent. First nothing is asked for a while, then ``/leader``,
``/replica`` and ``/health`` are asked over a few kept connections at the given rate. The loop's own histogram
of its turns (``/metrics``) is read before and after each phase, and the agent's CPU and memory
from ``/proc``.

    ./dev bench health_checks [--rate 10000] [--seconds 30] [--without-api]
"""

import argparse
import json
import statistics
import threading
import time
from typing import Any

import httpx
from common import usage

from rabbitkeeper.compose.local import Local

NODE = "node1"
CONNECTIONS = 4
PATHS = ("/leader", "/replica", "/health")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rate", type=float, default=10_000, help="checks a minute")
    parser.add_argument("--seconds", type=float, default=30.0, help="length of each phase")
    parser.add_argument("--without-api", action="store_true", help="CPU and memory of an agent without it")
    options = parser.parse_args()
    with Local(zookeepers=1, members=1, group="bench", api=not options.without_api) as local:
        local.wait_ready()
        pid = local.agent_pid(NODE)
        assert pid is not None
        time.sleep(5)  # the boot's last work
        if options.without_api:
            print(json.dumps({"idle": _usage(pid, options.seconds)}, indent=2))
            return
        url = local.api(NODE)
        idle = _phase(pid, url, options.seconds, 0.0)
        asked = _phase(pid, url, options.seconds, options.rate)
        print(json.dumps({"idle": idle, f"{options.rate:g} checks a minute": asked}, indent=2))


def _phase(pid: int, url: str, seconds: float, rate: float) -> dict[str, Any]:
    before, stop = _turns(url), threading.Event()
    latencies: list[float] = []
    pause = CONNECTIONS * 60 / rate if rate else 0.0
    threads = [
        threading.Thread(target=_ask, args=(url, pause, number, stop, latencies))
        for number in range(CONNECTIONS if rate else 0)
    ]
    for thread in threads:
        thread.start()
    usage = _usage(pid, seconds)
    stop.set()
    for thread in threads:
        thread.join()
    return {**usage, "turns": _difference(before, _turns(url)), "checks": _summary(latencies)}


def _ask(url: str, pause: float, number: int, stop: threading.Event, latencies: list[float]) -> None:
    with httpx.Client(base_url=url, timeout=5) as client:
        due, count = time.perf_counter() + pause * number / CONNECTIONS, 0
        while not stop.wait(max(0.0, due - time.perf_counter())):
            began = time.perf_counter()
            answer = client.get(PATHS[count % len(PATHS)])
            assert answer.status_code in (200, 503)
            latencies.append(time.perf_counter() - began)
            due, count = due + pause, count + 1


def _usage(pid: int, seconds: float) -> dict[str, Any]:
    used = usage({NODE: pid}, seconds)[NODE]
    return {"cpu_percent_of_a_core": round(used.cpu, 2), "rss_mb": round(used.rss, 1)}


def _turns(url: str) -> dict[str, float]:
    """The histogram of the loop's turns: how many took at most each bound, in all, and their sum."""
    lines = httpx.get(f"{url}/metrics").text.splitlines()
    told = dict(line.rsplit(" ", 1) for line in lines if line.startswith("rabbitkeeper_loop_turn_seconds"))
    return {
        name.removeprefix("rabbitkeeper_loop_turn_seconds_"): float(value) for name, value in told.items()
    }


def _difference(before: dict[str, float], after: dict[str, float]) -> dict[str, Any]:
    count = after["count"] - before["count"]
    bounds = [
        (float(name.split('"')[1]), after[name] - before[name]) for name in after if name.startswith("bucket")
    ]
    longest = min(bound for bound, within in bounds if within >= count)
    return {
        "count": int(count),
        "mean_ms": round((after["sum"] - before["sum"]) / count * 1000, 3),
        "all_within_ms": longest * 1000,
    }


def _summary(latencies: list[float]) -> dict[str, Any] | None:
    if not latencies:
        return None
    ordered = sorted(latencies)
    return {
        "count": len(ordered),
        "median_ms": round(statistics.median(ordered) * 1000, 2),
        "p99_ms": round(ordered[int(len(ordered) * 0.99)] * 1000, 2),
        "worst_ms": round(ordered[-1] * 1000, 2),
    }


if __name__ == "__main__":
    main()
