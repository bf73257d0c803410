-- What is left of a queue is found by a look of its own; only fetch calls these.
drop function if exists above(
    integer[], text[], integer[], smallint[], smallint[], bigint[], bigint[], integer, integer, bigint[]);
drop function if exists best_places(integer[], text[], integer[], smallint[], smallint[], bigint[], boolean, integer);
drop function if exists take(
    text[], integer, integer, bigint[], boolean, text[], timestamptz, integer[], text[], integer[], smallint[], smallint[], bigint[],
    bigint[]);
-- It has one more parameter, with a default: calls by workers of the version before mean the same.
drop function if exists "fetch"(
    bigint, text[], integer, timestamptz, text[], integer[], smallint[], smallint[], bigint[], bigint, bigint, text[]);
