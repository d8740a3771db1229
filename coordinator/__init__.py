"""The group as ZooKeeper holds it: records and paths, the session and its lease, the store, the election.

Names are imported from their modules, so that what is pure (``records``, ``paths``, ``view``, ``election``)
can be had without the ZooKeeper library.
"""
