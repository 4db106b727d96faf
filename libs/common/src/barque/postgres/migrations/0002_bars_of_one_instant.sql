-- Bars that are not made of time may open at the same instant; `seq` tells them apart.
ALTER TABLE bars ADD COLUMN seq integer NOT NULL DEFAULT 0;
ALTER TABLE bars DROP CONSTRAINT bars_pkey;
ALTER TABLE bars ADD PRIMARY KEY (book, lineage, symbol, "interval", price, ts_open_ns, seq);
