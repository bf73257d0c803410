-- Jobs whose end somebody waits for: who ends one of these says so, see tell_waiters(). After a crash of the server it is
-- empty, and those who wait find out by looking again.
create unlogged table waits (
    job_id bigint primary key,
    since timestamptz not null default now()
);

-- It is told why the jobs are given back, not how many attempts.
drop function if exists give_back(bigint[], integer, timestamptz, bigint[]);
