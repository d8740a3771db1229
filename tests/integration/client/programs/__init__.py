"""A package to pytest, so that its servers end with its last test (fixtures of scope ``package``)."""
