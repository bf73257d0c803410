-- The tables of one pq. Nothing here names a schema: the one that is first on the search path is used.
--
--   jobs            the live jobs. Kept small, because fetch reads its indexes all day.
--   finished_jobs   the ended ones, one partition per day (UTC) of finished_at, so that forgetting a day is dropping a table.
--   all_jobs        both, for reading.
--   workers         one row per worker, with the end of its lease. A running job has no lease of its own.
--   paused_queues   a queue named here gives no jobs.
--   migrations, functions   what of pq is installed.
--
-- You may read everything, and edit `jobs`: change a priority, a queue, a lock or a time; delete a row; or set its state to
-- succeeded, failed or cancelled, which moves it to finished_jobs. The trigger edited() then does for the lock what pq does. Insert
-- by defer() only: from migration 15 on, nothing checks a row that is inserted by hand.

create table migrations (
    version integer primary key,
    name text not null,
    applied_at timestamptz not null default now()
);

create table functions (
    name text primary key,
    hash text not null
);

create table jobs (
    id bigint generated always as identity primary key,
    queue text not null default 'default',
    task text not null,
    args json not null default '{}',
    priority smallint not null default 0,
    lock text,
    lock_mode text not null default 'ordered' check (lock_mode in ('ordered', 'mutex')),
    -- Locks are compared by this hash: no index entry is too long, and two locks of one hash only wait for each other.
    lock_key bigint generated always as (hashtextextended(lock, 0)) stored,
    state text not null default 'ready'
        check (state in ('scheduled', 'ready', 'blocked', 'running', 'succeeded', 'failed', 'cancelled')),
    attempt bigint not null default 0,
    claim bigint not null default 0,
    losses smallint not null default 0,
    max_losses smallint not null default 3 check (max_losses > 0),
    -- Within what every client can read, so that one job cannot stop those who fetch it.
    scheduled_at timestamptz not null default now()
        check (scheduled_at >= '1900-01-01 00:00+00' and scheduled_at < '9000-01-01 00:00+00'),
    created_at timestamptz not null default now(),
    started_at timestamptz,
    worker bigint,
    cancel_requested_at timestamptz,
    reason text,
    errors jsonb not null default '[]',
    result json,
    progress json,
    metadata json not null default '{}'
)
with (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);

-- Ready jobs are in two indexes, since only a worker that runs nothing looks at those in their last life: any other would have to
-- read past them.
create index jobs_ready on jobs (queue, priority desc, id) where state = 'ready' and losses < max_losses - 1;
create index jobs_last_life on jobs (queue, priority desc, id) where state = 'ready' and losses >= max_losses - 1;
create index jobs_scheduled on jobs (scheduled_at) where state = 'scheduled';
create index jobs_running on jobs (worker) where state = 'running';
create index jobs_last_life_running on jobs (worker) where state = 'running' and losses >= max_losses - 1;
create index jobs_lock on jobs (lock_key, priority desc, id) where lock_key is not null;
create index jobs_ready_lock on jobs (lock_key, priority desc, id) where state = 'ready' and lock_key is not null;
create index jobs_blocked_lock on jobs (lock_key, lock_mode, queue, priority desc, id) where state = 'blocked';
-- Stands behind the algorithm of fetch, and must never fire.
create unique index jobs_one_running on jobs (lock_key) where state = 'running' and lock_key is not null;

create table finished_jobs (
    id bigint not null,
    queue text not null,
    task text not null,
    args json not null,
    priority smallint not null,
    lock text,
    lock_mode text not null,
    state text not null check (state in ('succeeded', 'failed', 'cancelled')),
    attempt bigint not null,
    claim bigint not null,
    losses smallint not null,
    max_losses smallint not null,
    scheduled_at timestamptz not null,
    created_at timestamptz not null,
    started_at timestamptz,
    worker bigint,
    cancel_requested_at timestamptz,
    reason text,
    errors jsonb not null,
    result json,
    progress json,
    metadata json not null,
    finished_at timestamptz not null,
    primary key (id, finished_at)
)
partition by range (finished_at);

create index finished_jobs_failed on finished_jobs (id) where state = 'failed';

create view all_jobs as
    select id, queue, task, args, priority, lock, lock_mode, state, attempt, claim, losses, max_losses, scheduled_at, created_at,
        started_at, null::timestamptz as finished_at, worker, cancel_requested_at, reason, errors, result, progress, metadata
    from jobs
    union all
    select id, queue, task, args, priority, lock, lock_mode, state, attempt, claim, losses, max_losses, scheduled_at, created_at,
        started_at, finished_at, worker, cancel_requested_at, reason, errors, result, progress, metadata
    from finished_jobs;

create table workers (
    id bigint primary key,
    name text not null,
    queues text[],
    details json not null default '{}',
    started_at timestamptz not null,
    heartbeat_at timestamptz not null,
    lease_until timestamptz not null
)
with (fillfactor = 50);

create table paused_queues (
    name text primary key,
    paused_at timestamptz not null
);
