"""The exit codes, which scripts around this one rely on."""

from enum import IntEnum


class Exit(IntEnum):
    """What the shell is told."""

    WELL = 0
    FAILED = 1  # a run diverged or failed, or a claim has another outcome than expected
    WRONG_REQUEST = 2  # arguments, or the spec: syntax, key, type, value, shapes that disagree
    BAD_FILE = 3  # missing, unreadable, with bad content, or not to be written
    INTERRUPTED = 130
