"""What stands in ZooKeeper as JSON, for people and their programs: alike from the command and the API."""

from rabbitkeeper.coordinator.model.record import StoredRecord
from rabbitkeeper.coordinator.model.view import GroupView


def render_record(record: StoredRecord) -> dict[str, object]:
    """A record by the names that it has in its znode, without the format's version."""
    return record.model_dump(mode="json", by_alias=True, exclude={"v"})


def render_members(view: GroupView) -> list[dict[str, object]]:
    """The members by name, each with whether it leads."""
    return [
        {**render_record(member.record), "leader": view.leads(member.owner)}
        for _, member in sorted(view.members.items())
    ]
