-- Store a job with a unique key, unless that is taken; see defer_unique for the answer. `awake`: a queue to announce. `freed`: locks
-- that the caller wakes when it needs no more rows.
--
-- An insert that meets a key of somebody's open transaction waits for the end of it. One that is in the way of a job that is there
-- stores nothing; then this looks who that is, and if it is gone by then, or just began to run, tries again. Whoever has inserted a
-- job has the key until the transaction ends, so what it then reads and writes of the key's period nobody else changes.
create or replace function store_unique(job new_job, at timestamptz, out id bigint, out status text, out awake text, out freed bigint[])
language plpgsql
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    period_key constant text := job.unique_scope || ':' || job.unique_key;
    new_id constant bigint := coalesce(job.id, nextval('jobs_id_seq'));
    holder record;
    replaced record;
begin
    for attempt in 1..1000 loop
        insert into jobs (id, queue, task, args, priority, lock, lock_mode, state, scheduled_at, created_at, max_losses, metadata,
            delivery, version, unique_key, unique_scope, expires_at)
        overriding system value
        select new_id, job.queue, job.task, job.args, job.priority, job.lock, job.lock_mode, job.state, job.scheduled_at,
            store_unique.at, job.max_losses, job.metadata, nullif(job.delivery, 'at_least_once'),
            nullif(job.version, 1), job.unique_key, job.unique_scope, job.expires_at
        where not exists (select from unique_periods p where p.key = period_key and p.until > store_unique.at)
        on conflict do nothing;
        if found then
            -- Who had the key before may have taken it for a period, and committed while this waited.
            select p.job_id into holder from unique_periods p where p.key = period_key and p.until > store_unique.at;
            if not found then
                insert into unique_periods as p (key, job_id, until)
                select period_key, new_id, store_unique.at + job.unique_period where job.unique_period > '0'
                on conflict (key) do update set job_id = excluded.job_id, until = excluded.until;
                id := new_id;
                status := 'new';
                awake := job.queue;
                return;
            end if;
            delete from jobs j where j.id = new_id;
        end if;

        select j.id, j.state, j.attempt, j.expires_at into holder from jobs j
        where j.unique_key = job.unique_key and j.unique_scope = 'live' and job.unique_scope = 'live'
        union all
        select j.id, j.state, j.attempt, j.expires_at from jobs j
        where j.unique_key = job.unique_key and j.unique_scope = 'waiting' and j.state in ('scheduled', 'ready', 'blocked')
            and job.unique_scope = 'waiting';
        if not found then
            select p.job_id as id into holder from unique_periods p where p.key = period_key and p.until > store_unique.at;
            if found then
                id := holder.id;
                status := case job.on_conflict when 'raise' then 'taken' else 'skipped' end;
                return;
            end if;
        elsif holder.attempt = 0 and holder.state <> 'running' and holder.expires_at <= store_unique.at then
            -- It will never run; that nobody has ended it yet is no reason to refuse another. Who is refused all the same, for the
            -- key's period, changes nothing.
            select p.job_id into id from unique_periods p where p.key = period_key and p.until > store_unique.at;
            if found and job.on_conflict = 'raise' then
                status := 'taken';
                return;
            end if;
            freed := freed || drop_expired(holder.id, store_unique.at);
        elsif job.on_conflict = 'replace' and holder.state <> 'running' then
            replaced := replace_waiting(holder.id, job);
            if replaced.queue is not null then
                id := holder.id;
                status := 'replaced';
                awake := replaced.queue;
                freed := freed || replaced.freed;
                return;
            end if;
        else
            id := holder.id;
            status := case job.on_conflict when 'raise' then 'taken' else 'skipped' end;
            return;
        end if;
    end loop;
    raise exception 'the unique key % changes hands all the time', quote_literal(job.unique_key) using errcode = 'lock_not_available';
end
$$;
