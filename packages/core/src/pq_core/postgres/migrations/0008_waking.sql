-- It is told of the jobs as well as of their queues; only others of pq's functions call it.
drop function if exists announce(text[]);
