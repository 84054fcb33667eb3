"""What a refused boto3 call says."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from botocore.exceptions import ClientError


@contextmanager
def refused(code: str, status: int | None = None) -> Iterator[None]:
    """The calls inside must be refused with this error code (the bare status for HEAD) and status."""
    with pytest.raises(ClientError) as caught:
        yield
    response = caught.value.response
    assert response["Error"]["Code"] == code, caught.value
    if status is not None:
        assert response["ResponseMetadata"]["HTTPStatusCode"] == status


def missing(s3, bucket: str, key: str) -> bool:  # type: ignore[no-untyped-def]
    """Whether there is no such object."""
    try:
        s3.head_object(Bucket=bucket, Key=key)
    except ClientError as error:
        assert error.response["ResponseMetadata"]["HTTPStatusCode"] == 404
        return True
    return False
