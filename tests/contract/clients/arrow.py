"""pyarrow's S3 filesystem: `arrow.py roundtrip BUCKET/KEY` writes and reads Parquet, `tree …` lists and removes."""

import json
import os
import sys
from urllib.parse import urlsplit

import pyarrow
import pyarrow.parquet
from pyarrow import fs

ROWS = 1000


def filesystem() -> fs.S3FileSystem:
    address = urlsplit(os.environ["S3D_TEST_ENDPOINT"])
    return fs.S3FileSystem(
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        region=os.environ["AWS_DEFAULT_REGION"],
        endpoint_override=address.netloc,
        scheme=address.scheme,
    )


def roundtrip(s3: fs.S3FileSystem, path: str) -> dict[str, object]:
    table = pyarrow.table({"n": list(range(ROWS)), "text": [f"row {n}" for n in range(ROWS)]})
    pyarrow.parquet.write_table(table, path, filesystem=s3)
    column = pyarrow.parquet.read_table(path, filesystem=s3, columns=["n"])["n"]
    return {"rows": len(column), "sum": sum(column.to_pylist()), "size": s3.get_file_info(path).size}


def tree(s3: fs.S3FileSystem, path: str) -> dict[str, object]:
    found = s3.get_file_info(fs.FileSelector(path, recursive=True))
    files = sorted(one.path for one in found if one.type == fs.FileType.File)
    s3.delete_dir(path)
    return {"files": files}


operations = {"roundtrip": roundtrip, "tree": tree}
print(json.dumps(operations[sys.argv[1]](filesystem(), sys.argv[2])))
