"""The client's subcommands of ``rabbitkeeper``: they need the extra ``cli``; the SDK does not import them."""
