-- Store jobs of which some have unique keys; see defer_many for the answer. replacing, lasting: whether some may replace another, and
-- some have keys for a time.
--
-- All insert in the order of keys, so that two batches wait for each other in one direction only; ids are reserved first, and keep
-- the order of the batch. Jobs that may be replaced are taken before that, in the order of ids, and locks are woken after it, as
-- everybody does who changes several jobs. First goes in, at once, what meets nobody: the first job of each key. Then each that
-- has met somebody is seen to by itself. One of these may come back to a key of which the holder went away, behind keys that it
-- has already. To wait there could make a deadlock: it waits for a moment only, then lets go of all that it has, and the batch
-- begins anew.
create or replace function store_unique_many(
    given new_job[], at timestamptz, replacing boolean, lasting boolean, out ids bigint[], out statuses text[]
)
language plpgsql
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    reserved constant bigint[] := array(select nextval('jobs_id_seq') from generate_series(1, cardinality(given)));
    guarded boolean;
    late bigint[];
    stays boolean[];
    awake text[];
    told bigint[];
    freed bigint[];
    job new_job;
    met record;
    refused bigint;
    holder bigint;
    patience constant text := current_setting('lock_timeout');
    hurried boolean;
begin
    perform check_sound(g.lock_mode, g.max_losses, g.scheduled_at, g.expires_at) from unnest(given) g
    where not is_sound(g.lock_mode, g.max_losses, g.scheduled_at, g.expires_at);
    perform from jobs where false for update;  -- The lock on the table, before any wait: see writers_of_jobs().
    for attempt in 1..20 loop
        hurried := false;
        begin
            if replacing then
                perform from jobs j
                where (j.state <> 'running') is true and j.id = any (array(
                    select h.id from unnest(store_unique_many.given) g, lateral (
                        select o.id from jobs o
                        where o.unique_key = g.unique_key and o.unique_scope = 'live' and g.unique_scope = 'live'
                        union all
                        select o.id from jobs o
                        where o.unique_key = g.unique_key and o.unique_scope = 'waiting' and o.state in ('scheduled', 'ready', 'blocked')
                            and g.unique_scope = 'waiting') h
                    where g.on_conflict = 'replace'))
                order by j.id for update;
            end if;
            freed := '{}';
            guarded := exists (select from unique_periods);
            with stored as (
                insert into jobs (id, queue, task, args, priority, lock, lock_mode, state, scheduled_at, created_at, max_losses,
                    metadata, delivery, version, unique_key, unique_scope, expires_at)
                overriding system value
                select reserved[g.place], g.queue, g.task, g.args, g.priority, g.lock, g.lock_mode, g.state, g.scheduled_at,
                    store_unique_many.at, g.max_losses, g.metadata, nullif(g.delivery, 'at_least_once'), nullif(g.version, 1), g.unique_key,
                    case when g.unique_key is not null then g.unique_scope end, g.expires_at
                from unnest(store_unique_many.given) g
                where not guarded or not exists (
                    select from unique_periods p where p.key = g.unique_scope || ':' || g.unique_key and p.until > store_unique_many.at)
                order by g.unique_key collate "C", g.unique_scope collate "C", g.place
                on conflict do nothing
                returning id, queue
            )
            select coalesce(array_agg(s.id), '{}'), array_agg(s.queue) into told, awake from stored s;

            -- Whom an insert waited for may have taken the key for a period: see store_unique.
            guarded := exists (select from unique_periods);
            ids := reserved;
            if cardinality(told) = cardinality(reserved) and not guarded and not lasting then
                statuses := array_fill('new'::text, array[cardinality(reserved)]);
                perform announce(awake, told);
                return;
            end if;
            stays := array(
                select count(*) > 1 from (select unnest(reserved) as id union all select unnest(told)) i group by i.id order by i.id);
            if guarded then
                late := array(
                    select reserved[g.place] from unnest(store_unique_many.given) g
                    where stays[g.place] and exists (
                        select from unique_periods p
                        where p.key = g.unique_scope || ':' || g.unique_key and p.until > store_unique_many.at)
                    order by g.place);
                if late <> '{}' then
                    delete from jobs j where j.id = any (late);
                    stays := array(
                        select s and r <> all (late) from unnest(stays, reserved) with ordinality o (s, r, place) order by o.place);
                end if;
            end if;
            if lasting then
                insert into unique_periods as p (key, job_id, until)
                select g.unique_scope || ':' || g.unique_key, reserved[g.place], store_unique_many.at + g.unique_period
                from unnest(store_unique_many.given) g
                where g.unique_period > '0' and stays[g.place]
                on conflict (key) do update set job_id = excluded.job_id, until = excluded.until;
            end if;

            statuses := array(
                select case when s then 'new' end from unnest(stays) with ordinality o (s, place) order by o.place);
            refused := null;
            if attempt < 20 then
                perform set_config('lock_timeout', '10ms', true);
                hurried := true;
            end if;
            for job in
                select g.* from unnest(store_unique_many.given) g
                where not stays[g.place]
                order by g.unique_key collate "C", g.unique_scope collate "C", g.place
            loop
                job.id := reserved[job.place];
                met := store_unique(job, store_unique_many.at);
                ids[job.place] := met.id;
                statuses[job.place] := met.status;
                freed := freed || met.freed;
                if met.awake is not null then
                    awake := array_append(awake, met.awake);
                    told := array_append(told, met.id);
                end if;
                if met.status = 'taken' and job.place < coalesce(refused, job.place + 1) then
                    refused := job.place;
                    holder := nullif(met.id, reserved[width_bucket(met.id, reserved)]);
                end if;
            end loop;
            perform set_config('lock_timeout', patience, true);
            if refused is not null then
                raise exception 'a unique key is taken' using errcode = 'PQ004';
            end if;
            perform announce(awake, told);
            perform wake(freed);
            return;
        exception
            when sqlstate 'PQ004' then
                ids := array_fill(null::bigint, array[cardinality(reserved)]);
                statuses := array_fill(null::text, array[cardinality(reserved)]);
                ids[refused] := holder;
                statuses[refused] := 'taken';
                return;
            when deadlock_detected or lock_not_available then
                if not hurried then  -- It is the caller's own patience that has ended.
                    raise;
                end if;
        end;
    end loop;
end
$$;
