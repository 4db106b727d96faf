-- A sender with a wire: what stands there for an order, corrections and busts, and requests to compare the books.

ALTER TABLE intents ADD COLUMN token text NOT NULL DEFAULT '';
-- A broker may fill more than was ordered; that is to be seen, not to stop the sender.
ALTER TABLE intents DROP CONSTRAINT intents_check;

-- A correction names the execution that it replaces; a bust has quantity 0.
ALTER TABLE executions ADD COLUMN corrects text NOT NULL DEFAULT '';
ALTER TABLE executions DROP CONSTRAINT executions_quantity_check;
ALTER TABLE executions ADD CONSTRAINT executions_quantity_check CHECK (quantity >= 0);

-- Written by operators; the book's sender takes them within a second, whether Redis is there or not.
CREATE TABLE reconcile_requests (
    book text NOT NULL,
    command_id text NOT NULL,
    actor text NOT NULL,
    at_ns bigint NOT NULL,
    PRIMARY KEY (book, command_id)
);
