"""The command ``rabbitkeeper``: its options, and how it finds its subcommands.

Subcommands are entry points of the group ``rabbitkeeper.commands``, so that each package brings its own and
others can add theirs. One is imported only when it is called or its help is asked for; one that cannot be
imported says so and spoils nothing else.

Exit codes: 0 done, 1 refused or failed, 2 usage or bad input; the reason is one line on standard error.
"""

import sys


def main() -> None:
    """The console script. Without the libraries of the extra ``cli`` it says how to get them."""
    try:
        import click  # noqa: F401
        import rich  # noqa: F401
        import yaml  # noqa: F401
    except ModuleNotFoundError as error:
        print(  # noqa: T201
            f"rabbitkeeper: {error.name} is not installed; the command needs: "
            "pip install 'rabbitkeeper[cli]'",
            file=sys.stderr,
        )
        sys.exit(1)
    from rabbitkeeper.coordinator.cli.root import root

    root(prog_name="rabbitkeeper")
