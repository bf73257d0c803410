-- Store one job; return its id. For psql, triggers and other languages as much as for pq itself:
--
--   select pq.defer('shop.tasks.charge', '{"order": 7}', lock => 'order 7', delay => '5 minutes');
--   select pq.defer('shop.tasks.index', '{"page": 7}', unique_key => 'page 7', on_conflict => 'replace', delay => '1 minute');
--
-- What must hold for names and arguments is checked by clients; the checks here keep what would break a worker out of the table.
-- If the job's unique key is taken, on_conflict says what then: raise is an error with the code PQ004; for the others the id is
-- that of the job that has the key. alone: this call is all there is of its transaction, see is_herald().
create or replace function defer(
    task text, args json default '{}', queue text default 'default', priority smallint default 0, lock text default null,
    lock_mode text default 'ordered', scheduled_at timestamptz default null, delay interval default null,
    max_losses smallint default 3, metadata json default '{}', now timestamptz default null,
    delivery text default 'at_least_once', version integer default 1, unique_key text default null, unique_scope text default 'waiting',
    unique_period interval default null, on_conflict text default 'raise', expires_at timestamptz default null,
    expires_in interval default null, alone boolean default false
)
returns bigint
language plpgsql security definer
set search_path from current
as $$
#variable_conflict use_column
declare
    number constant bigint := xact_number();  -- before ids and the time, see floors.py
    at constant timestamptz := coalesce(defer.now, clock_timestamp());
    due constant timestamptz := coalesce(defer.scheduled_at, at + coalesce(defer.delay, '0'));
    expiry constant timestamptz := coalesce(defer.expires_at, at + defer.expires_in);
    new_id bigint;
    answer text;
begin
    if defer.unique_key is not null or defer.unique_period is not null then
        select d.id, d.status into new_id, answer from defer_unique(
            defer.task, defer.args, defer.queue, defer.priority, defer.lock, defer.lock_mode, defer.scheduled_at, defer.delay,
            defer.max_losses, defer.metadata, defer.now, defer.delivery, defer.version, defer.unique_key, defer.unique_scope,
            defer.unique_period, defer.on_conflict, defer.expires_at, defer.expires_in) d;
        if answer = 'taken' then
            raise exception 'the unique key % is taken by job %', quote_literal(defer.unique_key), new_id using errcode = 'PQ004';
        end if;
        return new_id;
    end if;
    -- What is plainly right is not worth the call.
    if not (length(defer.task) between 1 and 500 and length(defer.queue) between 1 and 500 and json_typeof(defer.args) = 'object'
        and (defer.lock is null or length(defer.lock) between 1 and 2000)
        and defer.delivery in ('at_least_once', 'at_most_once', 'transactional') and defer.version > 0
        and is_sound(defer.lock_mode, defer.max_losses, due, expiry)) is true
    then
        perform check_job(defer.task, defer.queue, defer.lock, defer.args::text);
        perform check_terms(defer.delivery, defer.version);
        perform check_sound(defer.lock_mode, defer.max_losses, due, expiry);
    end if;
    insert into jobs (queue, task, args, priority, lock, lock_mode, state, scheduled_at, created_at, max_losses, metadata,
        delivery, version, expires_at)
    values (defer.queue, defer.task, defer.args, defer.priority, defer.lock, defer.lock_mode,
        case when due > at then 'scheduled' else 'ready' end, due, at, defer.max_losses, defer.metadata,
        nullif(defer.delivery, 'at_least_once'), nullif(defer.version, 1), expiry)
    returning id into new_id;
    -- Of a scheduled job too: a worker that knows of it need not look before it is due.
    if is_herald(defer.alone, defer.queue) then
        perform pg_notify(current_schema(), 'queue:' || number || ':' || new_id || ':' || defer.queue);
    end if;
    return new_id;
end
$$;
