"""Takes a report out of gzip or zip, within bounds: what a stranger sends may unpack to any size."""

import io
import zipfile
import zlib

from mailhost.reports.refusal import Refused

#: Octets of a report. The largest of big receivers have a few MB.
LARGEST = 20 << 20
#: Files in an archive: one report, and what some systems put beside it.
MOST_MEMBERS = 8
GZIP, ZIP = b"\x1f\x8b", b"PK\x03\x04"


def unpacked(data: bytes) -> bytes:
    """
    The report itself; what it is in is seen from its first octets, because names and types of attachments are often wrong.

    Raises Refused.
    """
    if data.startswith(GZIP):
        data = from_gzip(data)
    elif data.startswith(ZIP):
        data = from_zip(data)
    if data.startswith((GZIP, ZIP)):
        raise Refused("it is packed twice")
    if len(data) > LARGEST:
        raise Refused(f"the report is larger than {LARGEST >> 20} MB")
    return data


def from_gzip(data: bytes) -> bytes:
    # 31: gzip alone, with the largest window.
    stream = zlib.decompressobj(31)
    try:
        found = stream.decompress(data, LARGEST + 1)
    except zlib.error as error:
        raise Refused(f"its gzip is damaged: {error}") from error
    if not stream.eof and len(found) <= LARGEST:
        raise Refused("its gzip is cut off")
    return found


def from_zip(data: bytes) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if len(members) > MOST_MEMBERS:
                raise Refused(f"its archive has {len(members)} files, more than {MOST_MEMBERS}")
            reports = [one for one in members if is_report(one.filename)]
            if len(reports) != 1:
                raise Refused(f"its archive has {len(reports)} reports, not one")
            if reports[0].flag_bits & 1:
                raise Refused("its archive is encrypted")
            # The others are rare, and their sizes harder to bound.
            if reports[0].compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise Refused("its archive is not compressed by deflate")
            # The size that the archive states may be false.
            with archive.open(reports[0]) as file:
                return file.read(LARGEST + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError) as error:
        raise Refused(f"its archive is damaged: {error}") from error


def is_report(name: str) -> bool:
    return name.lower().endswith((".xml", ".json")) and not name.startswith("__MACOSX/")
