"""Whether a group is as closed as whoever runs in it believes. Pure.

What is decided on is the permissions of the group's own node, which everything in it is created with, and of
the node that all groups have in common.
"""

from dataclasses import dataclass

from rabbitkeeper.coordinator.model.permissions import EVERYBODY, Permissions

SECURE = "rabbitkeeper secure"


@dataclass(frozen=True, slots=True)
class Standing:
    """How somebody stands towards a group.

    Attributes:
        refusal: why one should not work in it, with what would help; None: one may.
        warnings: what should be known besides.
    """

    refusal: str | None = None
    warnings: tuple[str, ...] = ()


def standing(
    group: Permissions | None,
    parent: Permissions | None,
    identity: str | None,
    readers: tuple[str, ...] | None = None,
) -> Standing:
    """Judge.

    Args:
        group: of the group's node; None: there is none yet, and it will be made as one wishes.
        parent: of the node that groups are in; None likewise.
        identity: one's own user, None without one.
        readers: who should be able to read; None: whoever can.
    """
    if group is None:
        return Standing(warnings=_of_parent(parent, identity))
    if identity is None:
        if group.open:
            return Standing()
        return Standing(refusal=f"the group belongs to {_named(group.writers)}: {_AUTH}")
    if not group.own:
        whose = "is open to everybody" if group.open else f"belongs to {_named(group.writers)}"
        return Standing(
            refusal=f"the group {whose}, so that the identity {identity!r} would have no effect: "
            f"'{SECURE}' gives it to that identity, or leave the identity out"
        )
    warnings = [*_of_parent(parent, identity)]
    others = [writer for writer in group.writers if not writer.startswith(f"digest:{identity}:")]
    if EVERYBODY in others:
        warnings.append(f"everybody may still write the group's znodes; end that with '{SECURE}'")
    elif others:
        warnings.append(
            f"besides {identity} may write the group's znodes: {_named(tuple(others))}; "
            f"if that is not wanted any more, end it with '{SECURE}'"
        )
    if readers is not None:
        may = {reader for reader in group.readers if reader not in group.writers}
        if may != {reader for reader in readers if reader not in group.writers}:
            warnings.append(
                f"the group's znodes can be read by {_named(tuple(sorted(may)))}, which is not what "
                f"zookeeper.readers says; '{SECURE}' changes it"
            )
    return Standing(warnings=tuple(warnings))


_AUTH = "give the identity of its agents (zookeeper.auth, or --zookeeper-auth FILE)"


def _of_parent(parent: Permissions | None, identity: str | None) -> tuple[str, ...]:
    if parent is None or parent.own or parent.open or identity is None:
        return ()
    return (f"the node of all groups belongs to {_named(parent.writers)}, who can keep new groups out",)


def _named(names: tuple[str, ...]) -> str:
    """Who, without hashes."""
    return ", ".join(_short(name) for name in names) or "nobody"


def _short(name: str) -> str:
    scheme, _, who = name.partition(":")
    return "everybody" if name == EVERYBODY else who.partition(":")[0] if scheme == "digest" else name
