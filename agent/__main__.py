"""``python -m rabbitkeeper.agent CONFIG.yml``: without the libraries of its extra it says how to get them."""

import sys

try:
    from rabbitkeeper.agent.cli.command import command
except ModuleNotFoundError as error:
    if (error.name or "").startswith("rabbitkeeper"):
        raise  # a module of ours, which no extra brings
    print(  # noqa: T201
        f"rabbitkeeper: {error.name} is not installed; the agent needs: pip install 'rabbitkeeper[agent]'",
        file=sys.stderr,
    )
    sys.exit(1)

command(prog_name="python -m rabbitkeeper.agent")
