"""DuckDB with its httpfs extension: `duck.py s3://BUCKET/KEY.parquet` writes Parquet there and reads it back."""

import json
import os
import sys
from pathlib import Path
from urllib.parse import urlsplit

import duckdb
import duckdb_extension_httpfs

extensions = Path(duckdb_extension_httpfs.__file__).parent / "extensions"
[extension] = extensions.glob(f"v{duckdb.__version__}/httpfs.duckdb_extension")
database = duckdb.connect(config={"autoinstall_known_extensions": False})
database.load_extension(str(extension))
address = urlsplit(os.environ["S3D_TEST_ENDPOINT"])
settings = {
    "KEY_ID": os.environ["AWS_ACCESS_KEY_ID"],
    "SECRET": os.environ["AWS_SECRET_ACCESS_KEY"],
    "REGION": os.environ["AWS_DEFAULT_REGION"],
    "ENDPOINT": address.netloc,
    "URL_STYLE": "path",
}
options = ", ".join(f"{name} '{value}'" for name, value in settings.items())
database.execute(f"CREATE SECRET (TYPE s3, USE_SSL {str(address.scheme == 'https').lower()}, {options})")
url = sys.argv[1]
database.execute(f"COPY (SELECT range AS n, 'row ' || range AS text FROM range(1000)) TO '{url}' (FORMAT parquet)")
rows, total = database.execute(f"SELECT count(*), sum(n) FROM read_parquet('{url}')").fetchone()
# A glob is a listing.
[globbed] = database.execute(f"SELECT count(*) FROM read_parquet('{url.rpartition('/')[0]}/*.parquet')").fetchone()
print(json.dumps({"rows": rows, "sum": int(total), "globbed": globbed}))
