"""Reply codes: with which a broker closes a connection or a channel, as in AMQP 0-9-1 (section 1.5 of its
specification)."""

from enum import IntEnum


class ReplyCode(IntEnum):
    CONNECTION_FORCED = 320  # a broker that stops, or an operator who ends a connection
    ACCESS_REFUSED = 403
    NOT_FOUND = 404
    RESOURCE_LOCKED = 405
    PRECONDITION_FAILED = 406
    FRAME_ERROR = 501
    SYNTAX_ERROR = 502
    COMMAND_INVALID = 503
    CHANNEL_ERROR = 504
    UNEXPECTED_FRAME = 505
    RESOURCE_ERROR = 506  # something is used up; it may pass
    NOT_ALLOWED = 530
    NOT_IMPLEMENTED = 540
    INTERNAL_ERROR = 541
