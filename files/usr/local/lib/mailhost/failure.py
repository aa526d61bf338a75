"""The one kind of error that the host program tells in plain words."""


class Failure(Exception):
    """What is wrong, and where it can be told, what to do about it."""
