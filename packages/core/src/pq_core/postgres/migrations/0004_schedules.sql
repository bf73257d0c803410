-- Jobs that are stored again and again. Which moments a cron text means is worked out by whoever calls tick, in Python; what is
-- due, and that each tick counts once, is decided here: who ticks names the revision that the ticks were worked out for.
--
--   job           what each tick stores, by the names of the parameters of defer.
--   next_tick     when it ticks next; if not planned, the first tick later than that is the next.
--   declared_at   when a worker last said that code declares it; null if it was made at run time.
create table schedules (
    id text primary key check (length(id) between 1 and 500),
    job json not null check (
        (length(job->>'task') between 1 and 500 and length(job->>'queue') between 1 and 500
            and (job->>'lock' is null or length(job->>'lock') between 1 and 2000)
            and json_typeof(job->'args') = 'object' and json_typeof(job->'metadata') = 'object') is true),
    cron text not null,
    timezone text not null,
    catch_up text not null check (catch_up in ('none', 'last', 'all')),
    max_delay interval check (max_delay >= '0'),
    revision bigserial,
    next_tick timestamptz not null,
    planned boolean not null default false,
    created_at timestamptz not null,
    last_tick timestamptz,
    paused_at timestamptz,
    declared_at timestamptz
);
create index schedules_next_tick on schedules (next_tick) where paused_at is null;
