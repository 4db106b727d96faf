"""The bus: Redis Streams with an atomic, fenced commit; runners that drive nodes over it, over Postgres, in process."""
