"""What an Erlang node may be called. In one place, since a name also becomes part of a program."""

import re

NODE_NAME = re.compile(r"[A-Za-z0-9_-]+@[A-Za-z0-9_.-]+")
