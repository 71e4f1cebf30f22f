"""Files of text pairs, of all kinds that `predict` reads."""

import csv
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from pipeline.corpus.delimited import DELIMITERS

ROWS = [
    {"q": 'a "quoted" text', "p": "one, two"},
    {"q": "tab\tand\nline\ttab", "p": "東京"},
    {"q": "", "p": " spaces "},
]


def written(path: Path, rows: list[dict[str, Any]] = ROWS) -> str:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path)
    elif path.suffix in (".jsonl", ".json"):
        lines = [json.dumps(row) for row in rows]
        path.write_text("\n\n".join(lines) + "\n")
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, rows[0], delimiter=DELIMITERS[path.suffix])
            writer.writeheader()
            writer.writerows(rows)
    return str(path)
