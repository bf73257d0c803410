-- It is told of the jobs as well as of their queues; only others of pq's functions call it.
drop function if exists announce(text[]);
-- It says more than it did.
drop function if exists heartbeat(
    bigint, text, text[], json, double precision, timestamptz, bigint[], bigint[], text[]);
