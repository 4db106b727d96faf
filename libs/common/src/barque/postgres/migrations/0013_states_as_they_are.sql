-- A node's state is written whole in every transaction, and is no text: to compress it costs more than it saves.

ALTER TABLE node_state ALTER COLUMN state SET STORAGE EXTERNAL;
ALTER TABLE node_state ALTER COLUMN outbox SET STORAGE EXTERNAL;
