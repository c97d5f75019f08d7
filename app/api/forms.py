"""Forms as browsers and other people's programs send them."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from fastapi import Request
from starlette.datastructures import FormData
from starlette.exceptions import HTTPException
from starlette.formparsers import MultiPartException, MultiPartParser

from app.api.names import file_name_of


class _Parser(MultiPartParser):
    """Starlette's parser, with `filename*` (RFC 8187).

    RFC 7578 rules it out in forms, so python-multipart drops it; yet older Python clients send nothing else for a name
    outside ASCII, and their file would be taken for a text field.
    """

    def on_headers_finished(self) -> None:
        """Settle whether the part is a file, and what it is called."""
        part = self._current_part
        disposition = part.content_disposition or b""
        name = file_name_of(disposition.decode("latin-1")) if b"filename*" in disposition.lower() else None
        if name is not None:
            part.content_disposition = disposition + b'; filename=""'  # a file, whatever it is called
        super().on_headers_finished()
        if name is not None and part.file is not None:
            part.file.filename = name


class FormRequest(Request):
    """A request whose multipart forms are read with `filename*`."""

    async def _get_form(
        self, *, max_files: float = 1000, max_fields: float = 1000, max_part_size: int = 1024 * 1024
    ) -> FormData:
        content_type = self.headers.get("content-type", "").partition(";")[0].strip().lower()
        if self._form is not None or content_type != "multipart/form-data":
            return await super()._get_form(max_files=max_files, max_fields=max_fields, max_part_size=max_part_size)
        stream: AsyncGenerator[bytes, None]
        try:
            async with aclosing(self.stream()) as stream:
                parser = _Parser(
                    self.headers, stream, max_files=max_files, max_fields=max_fields, max_part_size=max_part_size
                )
                self._form = await parser.parse()
        except MultiPartException as error:
            raise HTTPException(400, _unreadable(error)) from None
        return self._form


def _unreadable(error: MultiPartException) -> str:
    what = error.message.rstrip(".")
    return f"The form cannot be read: {what[0].lower()}{what[1:]}; send it as a browser or `curl -F` does."
