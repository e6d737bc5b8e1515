"""Bytes of a data file to decoded lines: gzip unpacked under a limit, wrong encodings named, no line larger than allowed."""

from __future__ import annotations

import codecs
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, cast

from ftcore.data.faults import Faults, Limits

_MIB = 1 << 20
_GZIP_FLOOR = 16 * _MIB
_GZIP_WINDOW = 32 * _MIB  # much more than a bomb makes of the 128 KiB that gzip reads ahead
_SAMPLE = 64 << 10
_WIDE_BOMS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
# Asked first, because statistics alone take German or French text for a Baltic or Central European encoding.
_COMMON = ("cp1252", "cp1251", "shift_jis", "gb18030", "euc_kr", "big5", "cp1250")


def read_lines(path: Path, faults: Faults, limits: Limits) -> Iterator[tuple[int, str]]:
    """Decoded lines with their numbers, line ends kept. A line over the limit ends the file: its rest is never read."""
    try:
        if path.suffix == ".gz":
            if bomb := _unpacks_too_far(path, limits):
                faults.add(bomb)
                return
            with gzip.open(path) as unpacked:
                yield from _decode(cast(IO[bytes], unpacked), faults, limits)
        else:
            with path.open("rb") as file:
                yield from _decode(file, faults, limits)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        faults.add(f"cannot be unpacked ({type(error).__name__}); wanted a whole gzip file")
    except OSError as error:
        faults.add(f"cannot be read ({error.strerror or type(error).__name__})")


def _unpacks_too_far(path: Path, limits: Limits) -> str | None:
    """A fault if the archive is a bomb. Unpacks it once without keeping or parsing anything.

    The ratio is looked at window by window, so that a bomb costs the same time however large it is and wherever it begins.
    """
    room = min(limits.file_bytes, max(_GZIP_FLOOR, path.stat().st_size * limits.gzip_ratio))
    size = seen = consumed = 0
    with path.open("rb") as packed, gzip.GzipFile(fileobj=packed) as file:
        while chunk := file.read(_MIB):
            size += len(chunk)
            bomb = size > room
            if size - seen >= _GZIP_WINDOW:
                bomb = bomb or size - seen > (packed.tell() - consumed) * limits.gzip_ratio
                seen, consumed = size, packed.tell()
            if bomb:
                wanted = f"wanted at most {limits.gzip_ratio} per byte of file and {limits.file_bytes:,} in all"
                return f"saw {size:,} bytes unpacked and more to come, {wanted}"
    return None


def _decode(file: IO[bytes], faults: Faults, limits: Limits) -> Iterator[tuple[int, str]]:
    number = num_blank = 0
    foreign, first_foreign = b"", -1  # lines that are not UTF-8, and where the first of them is reported
    while line := file.readline(limits.line_bytes + 1):
        number += 1
        if number == 1 and (wide := wide_encoding(line)):
            faults.add(f"looks like {wide}; wanted UTF-8 (iconv -f {wide} -t UTF-8)")
            return
        if len(line) > limits.line_bytes:
            wanted = f"wanted one row per line{_cr_hint(line)}; stopped reading here"
            faults.add(f"saw a line over {limits.line_bytes:,} bytes, {wanted}", number)
            return
        num_blank = 0 if line.strip() else num_blank + 1
        if num_blank > limits.blank_lines:
            faults.add(
                f"saw over {limits.blank_lines:,} blank lines in a row, wanted rows; stopped reading here", number
            )
            return
        if b"\0" in line:
            faults.add("saw a NUL byte, wanted UTF-8 text (UTF-16 or a binary file?)", number)
            continue
        try:
            text = line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError as error:
            if first_foreign < 0:
                first_foreign = len(faults.lines)
            foreign += line[: max(0, _SAMPLE - len(foreign))]
            seen = f"saw the byte 0x{line[error.start]:02x} at position {error.start}"
            faults.add(f"{seen}, which is not UTF-8; wanted UTF-8", number)
            continue
        if number > 1 and text.startswith("\ufeff"):
            faults.add("saw a byte order mark inside the file, wanted one file (were several joined?)", number)
            continue
        yield number, text
    if 0 <= first_foreign < len(faults.lines) and (likely := likely_encoding(foreign)):
        faults.lines[first_foreign] += f"; the file looks like {likely} (iconv -f {likely} -t UTF-8)"


def wide_encoding(line: bytes) -> str | None:
    """UTF-16 or UTF-32 by its mark; UTF-16 without one by the NUL beside each letter of the first line; None: neither."""
    for mark, name in _WIDE_BOMS:
        if line.startswith(mark):
            return name
    head = line[:1000]
    if len(head) < 8 or not 0.4 < head.count(0) / len(head) < 0.6:  # zeros alone are a binary or sparse file
        return None
    return "UTF-16LE" if head[1::2].count(0) > head[::2].count(0) else "UTF-16BE"


def _cr_hint(line: bytes) -> str:
    return " (line ends are CR alone: tr '\\r' '\\n')" if b"\r" in line.rstrip(b"\r\n") else ""


def likely_encoding(sample: bytes) -> str | None:
    """The encoding that bytes which are not UTF-8 are probably in (charset-normalizer); None if none fits.

    An 8-bit encoding cannot be proven, and latin-1 text is cp1252 text too, so that this is a hint, never a conversion.
    """
    from charset_normalizer import from_bytes

    for isolation in ([_COMMON[0]], list(_COMMON[1:])):
        best = from_bytes(sample, cp_isolation=isolation).best()
        if best is not None and best.chaos < 0.1:
            return str(best.encoding).upper()
    return None
