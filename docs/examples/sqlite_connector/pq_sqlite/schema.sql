-- Times are microseconds since 1970 in UTC. JSON is text, so that it comes back as it was.

create table if not exists jobs (
    id integer primary key autoincrement,
    task text not null,
    args text not null,
    queue text not null,
    priority integer not null,
    lock text,
    lock_mode text not null,
    state text not null,
    attempt integer not null default 0,
    claim integer not null default 0,
    losses integer not null default 0,
    max_losses integer not null,
    scheduled_at integer not null,
    created_at integer not null,
    started_at integer,
    finished_at integer,
    worker integer,
    cancel_requested_at integer,
    errors text not null default '[]',
    result text,
    reason text,
    metadata text not null,
    delivery text not null,
    version integer not null,
    unique_key text,
    unique_scope text,
    expires_at integer,
    progress text
) strict;

create index if not exists jobs_ready on jobs (priority desc, id) where state = 'ready';
create index if not exists jobs_blocked on jobs (id) where state = 'blocked';
create index if not exists jobs_scheduled on jobs (scheduled_at) where state = 'scheduled';
create index if not exists jobs_running on jobs (worker) where state = 'running';
create index if not exists jobs_lock on jobs (lock, priority desc, id) where lock is not null and finished_at is null;
create unique index if not exists jobs_one_running on jobs (lock) where state = 'running' and lock is not null;

create index if not exists jobs_expiring on jobs (expires_at)
    where attempt = 0 and state in ('scheduled', 'ready', 'blocked') and expires_at is not null;

create unique index if not exists jobs_unique_waiting on jobs (unique_key)
    where unique_scope = 'waiting' and state in ('scheduled', 'ready', 'blocked');
create unique index if not exists jobs_unique_live on jobs (unique_key) where unique_scope = 'live' and finished_at is null;

-- Keys that stay taken for a time, whatever becomes of the job.
create table if not exists unique_periods (
    key text not null,
    scope text not null,
    job_id integer not null,
    until integer not null,
    primary key (key, scope)
) strict;

-- What is not to be fetched: the jobs of a queue, those of a task, or all, of the name ''.
create table if not exists pauses (
    kind text not null,
    name text not null,
    paused_at integer not null,
    primary key (kind, name)
) strict;

-- The waiting jobs that their lock lets run, and no pause of their task holds up.
create view if not exists runnable as
select waiting.* from jobs waiting
where waiting.state in ('ready', 'blocked') and (
    waiting.lock is null
    or not exists (select 1 from jobs r where r.lock = waiting.lock and r.state = 'running')
    and (
        waiting.lock_mode = 'mutex'
        or waiting.id = (
            select first.id from jobs first where first.lock = waiting.lock and first.finished_at is null
            order by first.priority desc, first.id limit 1)
    )
)
and not exists (select 1 from pauses where kind = 'task' and name = waiting.task);

create table if not exists workers (
    id integer primary key,
    name text not null,
    queues text,
    details text not null,
    started_at integer not null,
    heartbeat_at integer not null,
    lease_until integer not null
) strict;

-- How often each queue has rung. Listeners look whether it has rung again; so those in other processes hear it, too.
create table if not exists bells (queue text primary key, rung integer not null) strict;

create trigger if not exists ring_for_a_new_job after insert on jobs
begin
    insert into bells values (new.queue, 1) on conflict (queue) do update set rung = rung + 1;
end;

create trigger if not exists ring_for_a_changed_job after update on jobs
when new.state in ('ready', 'scheduled') or new.cancel_requested_at is not old.cancel_requested_at
begin
    insert into bells values (new.queue, 1) on conflict (queue) do update set rung = rung + 1;
end;

pragma user_version = 1;
