-- After somebody changed or deleted rows of jobs by hand: refuse what no job may have, move those set to an ended state to
-- finished_jobs, let a new time decide between scheduled and ready, and do for locks what pq's own functions do. Those are known by
-- their search path, which names pg_temp twice, and the trigger is silent for them, and in a session that sets pq.inside.
create or replace function edited()
returns trigger
language plpgsql security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
as $$
declare
    wrong record;
    ended bigint[];
    retimed bigint[];
    shaken bigint[];
    locks bigint[];
    awake text[];
    told bigint[];
    shifted bigint[];
begin
    perform check_isolation();
    if tg_op = 'DELETE' then
        perform wake(array(select distinct b.lock_key from before b where b.lock_key is not null));
        return null;
    end if;
    select v.name, v.value into wrong
    from after a, lateral (values
        ('state', a.state, a.state in ('scheduled', 'ready', 'blocked', 'running', 'succeeded', 'failed', 'cancelled')),
        ('lock_mode', a.lock_mode, a.lock_mode in ('ordered', 'mutex')),
        ('max_losses', a.max_losses::text, a.max_losses > 0),
        ('scheduled_at', a.scheduled_at::text, is_readable(a.scheduled_at)),
        ('expires_at', a.expires_at::text, is_readable(a.expires_at))) v (name, value, fits)
    where not v.fits limit 1;
    if found then
        raise exception 'a job cannot have the % %', wrong.name, quote_literal(wrong.value)
            using errcode = 'check_violation', schema = tg_table_schema, table = tg_table_name, column = wrong.name;
    end if;
    -- A full join cannot become a nested loop, so a plan made for an edit of one row stays right for one of many.
    select
        array_agg(c.id) filter (where c.state in ('succeeded', 'failed', 'cancelled')),
        array_agg(c.id) filter (where c.retimed and c.state in ('scheduled', 'ready', 'blocked')),
        array_agg(c.id) filter (where c.moved and c.state = 'blocked'),
        -- Of a blocked job too that has kept its place: a wake may have passed it over while it was in the editor's hands.
        array_agg(distinct c.old_lock) filter (where (c.moved or c.state = 'blocked') and c.old_lock is not null)
            || array_agg(distinct c.new_lock) filter (where c.moved and c.new_lock is not null),
        array_agg(c.queue) filter (where c.state in ('scheduled', 'ready', 'blocked')),
        array_agg(c.id) filter (where c.state in ('scheduled', 'ready', 'blocked')),
        array_agg(c.id) filter (where (c.moved or c.retimed or c.relived) and c.state in ('scheduled', 'ready', 'blocked'))
    into ended, retimed, shaken, locks, awake, told, shifted
    from (
        select id, a.state, a.queue, b.lock_key as old_lock, a.lock_key as new_lock, a.scheduled_at <> b.scheduled_at as retimed,
            (b.lock_key, b.lock_mode, b.priority, b.queue, b.state)
                is distinct from (a.lock_key, a.lock_mode, a.priority, a.queue, a.state) as moved,
            (b.losses, b.max_losses) is distinct from (a.losses, a.max_losses) as relived
        from before b full join after a using (id)
    ) c;
    update jobs j set state = case when j.scheduled_at > clock_timestamp() then 'scheduled' else 'ready' end
    where j.id = any (retimed);
    -- Why a job was blocked may be gone; fetch finds out anew.
    update jobs j set state = 'ready' where j.id = any (shaken) and (j.state = 'blocked') is true;
    update jobs j set risen = risen_number() where j.id = any (shifted);
    perform announce(awake, told);
    perform bury(ended, null, null, statement_timestamp());
    perform wake(locks);
    return null;
end
$$;

create or replace trigger edited_update after update on jobs
    referencing old table as before new table as after for each statement
    when (current_setting('search_path') not like '%, pg_temp, pg_temp' and current_setting('pq.inside', true) is distinct from 'on')
    execute function edited();

create or replace trigger edited_delete after delete on jobs
    referencing old table as before for each statement
    when (current_setting('search_path') not like '%, pg_temp, pg_temp' and current_setting('pq.inside', true) is distinct from 'on')
    execute function edited();
