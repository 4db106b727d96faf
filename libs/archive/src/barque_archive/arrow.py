"""Arrow arrays as numpy arrays and back, without pandas: Arrow's own ways import it where it is installed, which takes a second.

In:   an array of int64, uint64 or float64.   Out: its values, shared, not to be written to.
Not:  other types.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from barque_archive.columns import Floats, Integers


def values_of(array: pa.Array) -> Any:
    """The values; NaN where a float is missing. Integers must not be missing."""
    if pa.types.is_floating(array.type) and array.null_count:
        array = pc.fill_null(array, float("nan"))
    return np.from_dlpack(array) if len(array) else np.zeros(0, array.type.to_pandas_dtype())


def missing_rows(array: pa.Array) -> Integers:
    """The rows that have no value."""
    if not array.null_count:
        return np.zeros(0, np.int64)
    rows: Integers = values_of(pc.indices_nonzero(array.is_null())).astype(np.int64)
    return rows


def array_of(values: Floats | Integers) -> pa.Array:
    """The values as an Arrow array without missing ones."""
    kind = pa.float64() if values.dtype == np.float64 else pa.int64()
    return pa.Array.from_buffers(kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))])
