"""A `.py` or `.pyi` file: its encoding, its byte order mark, and edits as splices of bytes."""

from __future__ import annotations

import codecs
import io
import tokenize
from collections.abc import Sequence

from pipeline_lint.diagnostic import Edit
from pipeline_lint.document import Document, UnencodableEdit, UnreadableDocument

_UNREAD_MARKS = {
    codecs.BOM_UTF32_LE: "UTF-32",
    codecs.BOM_UTF32_BE: "UTF-32",
    codecs.BOM_UTF16_LE: "UTF-16",
    codecs.BOM_UTF16_BE: "UTF-16",
}


class Script(Document):
    """Python source in any encoding that Python itself accepts."""

    def __init__(self, path: str, data: bytes) -> None:
        self._mark = codecs.BOM_UTF8 if data.startswith(codecs.BOM_UTF8) else b""
        body = data[len(self._mark) :]
        self._encoding = _encoding(data)
        try:
            text = body.decode(self._encoding)
        except UnicodeDecodeError as error:
            row = body.count(b"\n", 0, error.start) + 1
            column = error.start - body.rfind(b"\n", 0, error.start)
            raise UnreadableDocument(
                f"not {self._encoding}: byte 0x{body[error.start]:02x} {error.reason}", row=row, column=column
            ) from error
        except (LookupError, UnicodeError) as error:
            raise UnreadableDocument(f"not {self._encoding}: {error}") from error
        super().__init__(path, data, text)

    def splice(self, edits: Sequence[Edit]) -> bytes:
        # Some encodings spell one text in several ways; a file that does not survive the round trip is left alone.
        if self._mark + self._encode(self.text) != self.data:
            raise UnencodableEdit(f"the file's bytes are not the only {self._encoding} spelling of its text")
        pieces: list[str] = []
        done = 0
        for edit in edits:
            pieces += [self.text[done : edit.start], edit.text]
            done = edit.end
        # Encoded as one, because some encodings spell a character by what stands before it.
        return self._mark + self._encode("".join([*pieces, self.text[done:]]))

    def _encode(self, text: str) -> bytes:
        try:
            return text.encode(self._encoding)
        except UnicodeEncodeError as error:
            raise UnencodableEdit(
                f"the file's encoding {self._encoding} has no bytes for {text[error.start : error.end]!r}"
            ) from error
        except UnicodeError as error:
            raise UnencodableEdit(f"the file's encoding {self._encoding} cannot be written: {error}") from error


def _encoding(data: bytes) -> str:
    """The encoding that the byte order mark or the cookie declares, else UTF-8."""
    for mark, name in _UNREAD_MARKS.items():
        if data.startswith(mark):
            raise UnreadableDocument(f"{name}, which Python does not read either; save the file as UTF-8")
    first_two_lines = data.split(b"\n", 2)[:2]
    if not any(b"coding" in line for line in first_two_lines):
        return "utf-8"
    try:
        encoding, _ = tokenize.detect_encoding(io.BytesIO(data).readline)
    except SyntaxError as error:
        raise UnreadableDocument(str(error.msg)) from error
    return "utf-8" if encoding == "utf-8-sig" else encoding
