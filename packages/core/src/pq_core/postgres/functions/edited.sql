-- After somebody changed or deleted rows of jobs by hand: move those set to an ended state to finished_jobs, let a new time
-- decide between scheduled and ready, and do for locks what pq's own functions do. Those set pq.inside, so the trigger is
-- silent for them.
create or replace function edited()
returns trigger
language plpgsql security definer
set search_path from current set pq.inside = 'on'
as $$
declare
    locks bigint[];
    ended bigint[];
    retimed bigint[];
begin
    perform check_isolation();
    if tg_op = 'DELETE' then
        locks := array(select b.lock_key from before b where b.lock_key is not null);
        perform wake(locks);
        return null;
    end if;
    ended := array(select a.id from after a where a.state in ('succeeded', 'failed', 'cancelled') order by a.id);
    retimed := array(
        select a.id from after a join before b using (id)
        where a.scheduled_at <> b.scheduled_at and a.state in ('scheduled', 'ready', 'blocked') order by a.id);
    update jobs j set state = case when j.scheduled_at > statement_timestamp() then 'scheduled' else 'ready' end
    where j.id = any (retimed);
    perform announce(array(select distinct a.queue from after a where a.state in ('ready', 'scheduled')));
    perform bury(ended, null, null, statement_timestamp());
    locks := array(
        select l from before b full join after a using (id), lateral unnest(array[b.lock_key, a.lock_key]) l
        where l is not null
            and (b.lock_key, b.lock_mode, b.priority, b.state) is distinct from (a.lock_key, a.lock_mode, a.priority, a.state));
    perform wake(locks);
    return null;
end
$$;

create or replace trigger edited_update after update on jobs
    referencing old table as before new table as after for each statement
    when (current_setting('pq.inside', true) is distinct from 'on') execute function edited();

create or replace trigger edited_delete after delete on jobs
    referencing old table as before for each statement
    when (current_setting('pq.inside', true) is distinct from 'on') execute function edited();
