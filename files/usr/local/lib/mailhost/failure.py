"""The one kind of error that the host program tells in plain words."""


class Failure(Exception):
    """What is wrong, and where it can be told, what to do about it."""


#: What a command meets that its disk, its input or another host has wrong: told in a line, and no trace of the program.
ERRORS = (Failure, OSError, LookupError, ValueError)
