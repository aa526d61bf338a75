"""The host program: puts the files of each daemon in force on a mail host, and keeps it running."""

__version__ = "0.1.0"
