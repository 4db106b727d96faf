"""Market data in columns: files of many shapes in, a Parquet archive by symbol, kind and date, messages out."""
