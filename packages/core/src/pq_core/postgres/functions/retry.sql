-- Make ended jobs live again under their ids, with a clean slate but for the claim and the errors; return them. One whose unique key
-- is taken stays as it is; of two with one key the older comes back.
create or replace function retry(ids bigint[], now timestamptz default null)
returns table (id bigint, state text)
language plpgsql security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    at constant timestamptz := coalesce(retry.now, statement_timestamp());
    awake text[];
    back bigint[];
    wrong bigint;
begin
    perform from finished_jobs f where f.id = any (retry.ids) order by f.id for update;
    -- By key, as all do who take several.
    with revived as (
        insert into jobs (
            id, queue, task, args, priority, lock, lock_mode, state, attempt, claim, losses, max_losses, scheduled_at, created_at,
            errors, progress, metadata, delivery, version, unique_key, unique_scope, expires_at, risen)
        overriding system value
        select g.id, g.queue, g.task, g.args, g.priority, g.lock, g.lock_mode, 'ready', 0, g.claim, 0, g.max_losses, at, g.created_at,
            g.errors, null, g.metadata, g.delivery, g.version, g.unique_key, g.unique_scope, null, risen_number()
        from finished_jobs g where g.id = any (retry.ids)
        order by g.unique_key collate "C", g.unique_scope, g.id
        on conflict do nothing
        returning id, queue, lock_mode, max_losses, scheduled_at
    )
    select coalesce(array_agg(r.id), '{}'), array_agg(r.queue),
        min(r.id) filter (where not is_sound(r.lock_mode, r.max_losses, r.scheduled_at, null))
    into back, awake, wrong from revived r;
    if wrong is not null then
        perform check_sound(j.lock_mode, j.max_losses, j.scheduled_at, null) from jobs j where j.id = wrong;
    end if;
    delete from finished_jobs f where f.id = any (back);
    perform announce(awake, back);
    return query select b, 'ready'::text from unnest(back) b order by b;
end
$$;
