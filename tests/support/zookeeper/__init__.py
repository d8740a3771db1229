"""ZooKeeper itself: a way to it that can be cut, somebody else's session, and what any backend must do."""
