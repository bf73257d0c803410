-- Store one job; return its id. For psql, triggers and other languages as much as for pq itself:
--
--   select pq.defer('shop.tasks.charge', '{"order": 7}', lock => 'order 7', delay => '5 minutes');
--
-- What must hold for names and arguments is checked by clients; the checks here keep what would break a worker out of the table.
create or replace function defer(
    task text, args json default '{}', queue text default 'default', priority smallint default 0, lock text default null,
    lock_mode text default 'ordered', scheduled_at timestamptz default null, delay interval default null,
    max_losses smallint default 3, metadata json default '{}', now timestamptz default null,
    delivery text default 'at_least_once', version integer default 1, unique_key text default null, unique_scope text default 'waiting',
    unique_period interval default null, on_conflict text default 'raise', expires_at timestamptz default null,
    expires_in interval default null
)
returns bigint
language plpgsql security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    at constant timestamptz := coalesce(defer.now, statement_timestamp());
    due constant timestamptz := coalesce(defer.scheduled_at, at + coalesce(defer.delay, '0'));
    new_id bigint;
begin
    -- What is plainly right is not worth the call.
    if not (length(defer.task) between 1 and 500 and length(defer.queue) between 1 and 500 and defer.args::text like '{%'
        and (defer.lock is null or length(defer.lock) between 1 and 2000)) is true
    then
        perform check_job(defer.task, defer.queue, defer.lock, defer.args::text);
    end if;
    insert into jobs (queue, task, args, priority, lock, lock_mode, state, scheduled_at, created_at, max_losses, metadata,
        delivery, version, unique_key, unique_scope, expires_at)
    values (defer.queue, defer.task, defer.args, defer.priority, defer.lock, defer.lock_mode,
        case when due > at then 'scheduled' else 'ready' end, due, at, defer.max_losses, defer.metadata,
        defer.delivery, defer.version, defer.unique_key, case when defer.unique_key is not null then defer.unique_scope end,
        coalesce(defer.expires_at, at + defer.expires_in))
    returning id into new_id;
    -- Of a scheduled job too: a worker that knows of it need not look before it is due.
    perform pg_notify(current_schema(), 'queue:' || defer.queue);
    return new_id;
end
$$;
