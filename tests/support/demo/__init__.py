"""The demo, here and in containers, as tests drive it and look at it."""
