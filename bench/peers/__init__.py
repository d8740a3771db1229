"""The clients that are compared, a module each; ``common.py`` runs them, each in a process of its own.

``consume(where, queue, count)`` consumes ``count`` messages with a prefetch of 2,000, acks each 500 together,
and returns a :class:`common.Result`.
"""
