-- Do what defer does for a job with a unique key, and say what became of it: `new`; `replaced` or `skipped`, with the id of the
-- job that has the key; or `taken`, likewise, where on_conflict is raise: then nothing was stored.
create or replace function defer_unique(
    task text, args json default '{}', queue text default 'default', priority smallint default 0, lock text default null,
    lock_mode text default 'ordered', scheduled_at timestamptz default null, delay interval default null,
    max_losses smallint default 3, metadata json default '{}', now timestamptz default null,
    delivery text default 'at_least_once', version integer default 1, unique_key text default null, unique_scope text default 'waiting',
    unique_period interval default null, on_conflict text default 'raise', expires_at timestamptz default null,
    expires_in interval default null, out id bigint, out status text
)
language plpgsql security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    number constant bigint := xact_number();  -- before ids and the time, see floors.py
    at constant timestamptz := coalesce(defer_unique.now, clock_timestamp());
    due constant timestamptz := coalesce(defer_unique.scheduled_at, at + coalesce(defer_unique.delay, '0'));
    expiry constant timestamptz := coalesce(defer_unique.expires_at, at + defer_unique.expires_in);
    awake text;
    freed bigint[];
begin
    perform check_job(defer_unique.task, defer_unique.queue, defer_unique.lock, defer_unique.args::text);
    perform check_terms(defer_unique.delivery, defer_unique.version);
    perform check_unique(defer_unique.unique_key, defer_unique.unique_scope, defer_unique.unique_period, defer_unique.on_conflict);
    if not is_sound(defer_unique.lock_mode, defer_unique.max_losses, due, expiry) then
        perform check_sound(defer_unique.lock_mode, defer_unique.max_losses, due, expiry);
    end if;
    select s.id, s.status, s.awake, s.freed into defer_unique.id, defer_unique.status, awake, freed
    from store_unique(
        row(
            null, defer_unique.queue, defer_unique.task, defer_unique.args, defer_unique.priority, defer_unique.lock,
            defer_unique.lock_mode, case when due > at then 'scheduled' else 'ready' end, due, defer_unique.max_losses,
            defer_unique.metadata, defer_unique.delivery, defer_unique.version, defer_unique.unique_key, defer_unique.unique_scope,
            defer_unique.unique_period, defer_unique.on_conflict, expiry, 1
        )::new_job, at) s;
    if awake is not null then
        perform pg_notify(current_schema(), 'queue:' || number || ':' || defer_unique.id || ':' || awake);
    end if;
    perform wake(freed);
end
$$;
