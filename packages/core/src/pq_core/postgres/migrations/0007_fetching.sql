-- Whoever purges a job forgets its key too.
create index unique_periods_job on unique_periods (job_id);

-- These know of pauses of tasks and of jobs that expire; only others of pq's functions call them.
drop function if exists judge(bigint[], bigint[]);
drop function if exists take(text[], integer, integer, bigint[], boolean);
-- It has more parameters from now on, all with defaults: calls by workers of the version before mean the same.
drop function if exists reschedule(
    bigint[], timestamptz, double precision, text, smallint, boolean, text, timestamptz);
