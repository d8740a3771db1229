"""Gives a group's nodes to an identity: from open to closed, or from one identity to the next.

Not one transaction: a node after the other, the group's own first, so that what is created meanwhile is
created with the new permissions by those who have taken them over. Doing it again does no harm.
"""

from collections.abc import Iterator, Sequence

from rabbitkeeper.coordinator.backend.interface import Backend
from rabbitkeeper.coordinator.model.errors import AccessDenied, NoNode, UnknownGroup
from rabbitkeeper.coordinator.model.paths import ROOT, GroupPaths
from rabbitkeeper.coordinator.model.permissions import EVERYBODY
from rabbitkeeper.coordinator.store.store import groups


def nodes_of(backend: Backend, paths: GroupPaths) -> Iterator[str]:
    """The nodes of a group, each before what is below it; first the one that groups are in, if this group is
    the only one.

    Raises:
        UnknownGroup: there is no such group.
    """
    if backend.stat(paths.root) is None:
        raise UnknownGroup(f"there is no group {paths.group!r}")
    if groups(backend) == (paths.group,):
        yield ROOT
    waiting = [paths.root]
    while waiting:
        path = waiting.pop()
        yield path
        waiting += [f"{path}/{name}" for name in reversed(backend.children(path) or ())]


def secure(
    backend: Backend,
    paths: GroupPaths,
    writers: Sequence[str],
    readers: Sequence[str] | None,
    *,
    dry_run: bool = False,
) -> list[str]:
    """Have the group's nodes belong to the backend's own identity.

    Args:
        writers: who else may write: during a change of identities the other one, or everybody.
        readers: who may read; None: as it is now, and everybody where everybody could write.
        dry_run: change nothing.

    Returns:
        The nodes that were changed, or would be.

    Raises:
        UnknownGroup: there is no such group.
        AccessDenied: the identity may not say who may do what with a node.
        ConfigurationError: the backend has no identity.
    """
    there = backend.permissions(paths.root)
    if readers is None:
        kept = () if there is None else tuple(name for name in there.readers if name not in there.writers)
        readers = kept or (EVERYBODY,)
    changed = []
    for path in nodes_of(backend, paths):
        before = backend.permissions(path)
        if before is None:
            continue  # an ephemeral that has gone
        wanted = {*readers} - {*writers}
        others = {name for name in before.writers if name not in writers}
        alike = before.own and len(others) == 1 and {*writers} <= {*before.writers}
        if alike and {*before.readers} - {*before.writers} == wanted:
            continue
        changed.append(path)
        if not dry_run:
            try:
                backend.permit(path, writers, readers)
            except NoNode:
                continue
            except AccessDenied as error:
                raise AccessDenied(
                    f"{error}; the identity must be one that may do everything with the group already, "
                    "unless the group is open"
                ) from None
    return changed
