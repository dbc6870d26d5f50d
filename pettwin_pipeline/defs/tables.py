"""Tables in the metadata of assets."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg


def show_table(
    rows: Iterable[Mapping[str, Any]], kinds: Mapping[str, str]
) -> dg.TableMetadataValue:
    """Rows as a table.

    Args:
        rows: a value for each column.
        kinds: the columns, in their order, and what is in them: string, int, float or bool.
    """
    schema = dg.TableSchema([dg.TableColumn(name, kind) for name, kind in kinds.items()])
    return dg.MetadataValue.table([dg.TableRecord(dict(row)) for row in rows], schema=schema)
