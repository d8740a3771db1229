"""``python -m rabbitkeeper.agent CONFIG.yml``."""

from rabbitkeeper.agent.cli.command import command

command(prog_name="python -m rabbitkeeper.agent")
