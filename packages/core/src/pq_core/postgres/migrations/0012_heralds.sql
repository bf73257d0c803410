-- There is a herald for each queue; and a fetch is told of which queues its worker has heard.
drop function if exists is_herald(boolean);
drop function if exists all_told();
drop function if exists "fetch"(
    bigint, text[], integer, timestamptz, text[], integer[], smallint[], smallint[], bigint[], bigint, bigint, boolean);
