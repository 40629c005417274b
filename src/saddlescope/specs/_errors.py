"""The one exception of this room, so that a wrong request is told apart from a run that goes wrong."""


class SpecError(ValueError):
    """A specification that makes no sense: its syntax, a key, a type or a value.

    The message is one line and stands on its own: where, what was asked, what that needs, what was found.
    """
