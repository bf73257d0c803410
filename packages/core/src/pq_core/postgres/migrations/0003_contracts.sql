-- What a job may promise or ask for beside a lock and a time.
--
--   delivery      what its worker's death means for it; null: at_least_once. See docs/explanation/guarantees.md.
--   version       of its arguments, as the code that deferred it knew them; null: 1.
--   unique_key    no two jobs of one key and scope at once: waiting ones only, or live ones.
--   expires_at    a job that no worker has started by then is cancelled.
-- What these may be, defer checks: a constraint is read anew by each statement that inserts, at a cost of about 2 us. Only of times
-- there must never be any that clients cannot read.
alter table jobs
    add column delivery text,
    add column version integer,
    add column unique_key text,
    add column unique_scope text,
    add column expires_at timestamptz check (expires_at >= '1900-01-01 00:00+00' and expires_at < '9000-01-01 00:00+00');

alter table finished_jobs
    add column delivery text,
    add column version integer,
    add column unique_key text,
    add column unique_scope text,
    add column expires_at timestamptz;

create unique index jobs_unique_waiting on jobs (unique_key) where unique_scope = 'waiting' and state in ('scheduled', 'ready', 'blocked');
create unique index jobs_unique_live on jobs (unique_key) where unique_scope = 'live';
create index jobs_expiring on jobs (expires_at) where expires_at is not null and attempt = 0 and state <> 'running';

create or replace view all_jobs as
    select id, queue, task, args, priority, lock, lock_mode, state, attempt, claim, losses, max_losses, scheduled_at, created_at,
        started_at, null::timestamptz as finished_at, worker, cancel_requested_at, reason, errors, result, progress, metadata,
        coalesce(delivery, 'at_least_once') as delivery, coalesce(version, 1) as version, unique_key, unique_scope, expires_at
    from jobs
    union all
    select id, queue, task, args, priority, lock, lock_mode, state, attempt, claim, losses, max_losses, scheduled_at, created_at,
        started_at, finished_at, worker, cancel_requested_at, reason, errors, result, progress, metadata,
        coalesce(delivery, 'at_least_once') as delivery, coalesce(version, 1) as version, unique_key, unique_scope, expires_at
    from finished_jobs;

-- Keys that stay taken for a time, whatever becomes of the job that took them.
create table unique_periods (
    key text primary key,
    job_id bigint not null,
    until timestamptz not null
);
create index unique_periods_until on unique_periods (until);

-- What is not to be fetched for now: the jobs of a queue, those of a task, or all (of the one name '').
create table pauses (
    kind text not null check (kind in ('queue', 'task', 'all')),
    name text not null,
    paused_at timestamptz not null,
    primary key (kind, name)
);
insert into pauses (kind, name, paused_at) select 'queue', name, paused_at from paused_queues;
drop table paused_queues;

-- These have more parameters from now on, all with defaults: calls by workers of the version before mean the same.
drop function if exists defer(text, json, text, smallint, text, text, timestamptz, interval, smallint, json, timestamptz);
drop function if exists defer_many(
    text[], text[], text[], smallint[], text[], text[], timestamptz[], double precision[], smallint[], text[], timestamptz);
drop function if exists "fetch"(bigint, text[], integer, timestamptz);
drop function if exists finish(
    bigint[], bigint[], text[], boolean[], double precision[], text[], smallint[], boolean[], text[], text[], text[], text[],
    timestamptz);
drop function if exists heartbeat(bigint, text, text[], json, double precision, timestamptz);
drop function if exists pause(text, timestamptz);
drop function if exists resume(text);
drop function if exists queue_counts();
drop function if exists prune(interval, timestamptz);

-- One job to store, as defer understands it: with its moments worked out. `place`: in its batch, from 1.
create type new_job as (
    id bigint, queue text, task text, args json, priority smallint, lock text, lock_mode text, state text, scheduled_at timestamptz,
    max_losses smallint, metadata json, delivery text, version integer, unique_key text, unique_scope text,
    unique_period interval, on_conflict text, expires_at timestamptz, place bigint
);
