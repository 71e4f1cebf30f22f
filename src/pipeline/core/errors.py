"""The exception for errors that the user can fix."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

OF_THE_MACHINE = {
    *(errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT),
    *(errno.EPIPE, errno.EIO, errno.EMFILE, errno.ENFILE, errno.ENOMEM),
}
"""Errors that are not due to what a file contains."""


class UserError(Exception):
    """An error that the user can fix: one sentence says what is wrong, where, and what to do."""


@contextmanager
def explained(what: str, remedy: str) -> Iterator[None]:
    """Turn any error in the block into a UserError that says ``what``, the reason and ``remedy``.

    It is for a library that reads files of the user, because damaged files raise errors of any
    type. A UserError is left as it is, and so is an error of the machine, such as a full disk.
    """
    try:
        yield
    except (UserError, MemoryError):
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno in OF_THE_MACHINE:
            raise
        # Libraries wrap the error that says most.
        text = " ".join(str(error.__cause__ or error).split())
        reason = text[:200].rstrip(".") or type(error).__name__
        raise UserError(f"{what} ({reason}): {remedy}.") from error
