"""Why a report is not read."""


class Refused(Exception):
    """What is wrong with a message or the report in it, in words for the operator."""
