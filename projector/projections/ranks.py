"""Where each kind of timeline entry stands among others of the same instant."""

from enum import IntEnum


class Rank(IntEnum):
    """Order of the timeline at equal `ts`; the stored tables use 3 to 9."""

    CREATED = 0
    STARTED = 1
    STATE = 2
    INBOUND = 3
    STEP = 4
    GATEWAY_CALL = 5
    LEGACY_CALL = 6
    REMEDIATION = 7
    DECISION = 8
    OUTBOUND = 9
    COMPLETED = 10
