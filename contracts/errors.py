"""The root of what can go wrong; each error's text is the one line a person reads.

RunfoldError
├── UsageError          exit status 2: a setting or an argument is wrong
│   └── SettingError    … an environment variable, named in the message
└── OperationError      exit status 1: it was asked rightly and could not be done
"""


class RunfoldError(Exception):
    """Base of all errors meant for people; `exit_status` is the command's."""

    exit_status = 1


class UsageError(RunfoldError):
    """A setting or an argument is wrong; the message names it and says what to do."""

    exit_status = 2


class SettingError(UsageError):
    """A setting is missing or wrong; the message names its environment variable."""


class OperationError(RunfoldError):
    """What was asked could not be done."""
