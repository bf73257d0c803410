-- Delete jobs that wait or have ended, so that no trace of them is left; return their ids. Running ones are left alone.
create or replace function purge(ids bigint[])
returns setof bigint
language plpgsql security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    waiting bigint[];
    freed bigint[];
    gone bigint[];
begin
    perform check_isolation();
    waiting := array(
        select j.id from jobs j where j.id = any (purge.ids) and (j.state = 'running') is false order by j.id for update);
    perform from finished_jobs f where f.id = any (purge.ids) order by f.id for update;
    with deleted as (
        delete from jobs j where j.id = any (waiting) returning j.id, j.lock_key
    ), forgotten as (
        delete from finished_jobs f where f.id = any (purge.ids) returning f.id
    )
    select (select array_agg(d.lock_key) from deleted d where d.lock_key is not null),
        array(select d.id from deleted d union all select f.id from forgotten f)
    into freed, gone;
    delete from unique_periods u where u.job_id = any (gone);
    perform tell_waiters(gone);
    perform wake(freed);
    return query select g from unnest(gone) g order by g;
end
$$;
