"""What all records have in common: one JSON object, frozen, which keeps the keys that it does not know."""

import json
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from rabbitkeeper.coordinator.model.errors import RecordError
from rabbitkeeper.coordinator.model.finite import check_finite


class Record(BaseModel):
    """One JSON object, in a node of its own or inside another."""

    model_config = ConfigDict(frozen=True, extra="allow", populate_by_name=True, allow_inf_nan=False)


class StoredRecord(Record):
    """A record that is the whole content of a node."""

    v: Literal[1] = 1

    def to_bytes(self) -> bytes:
        """The node's content: compact JSON, UTF-8."""
        return json.dumps(self.fields_to_store(), separators=(",", ":"), ensure_ascii=False).encode()

    def fields_to_store(self) -> dict[str, Any]:
        """What of it is written, by key."""
        return self.model_dump(mode="json", by_alias=True)

    @classmethod
    def from_bytes(cls, path: str, data: bytes) -> Self:
        """Read a node's content.

        Args:
            path: where it was found, for the error.
            data: the content.

        Raises:
            RecordError: it is not JSON, not such a record, or of another version.
        """
        check_finite(path, data)
        try:
            return cls.model_validate_json(data)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            where = ".".join(str(part) for part in first["loc"]) or "the whole"
            raise RecordError(
                f"{path} does not hold a {cls.__name__} that this version reads: {where}: {first['msg']}"
            ) from None
