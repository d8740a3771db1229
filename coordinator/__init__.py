"""The group as its backend holds it: records, what is decided on them, how they are read and written.

Names are imported from their modules, so that what is pure (``model``, ``policy``) can be had without the
ZooKeeper library.
"""
