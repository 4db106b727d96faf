-- A bar that was published without what happened in a gap is replaced by the broker's own; when, is said. 0: it is as it was published.

ALTER TABLE bars ADD COLUMN revised_ns bigint NOT NULL DEFAULT 0;
