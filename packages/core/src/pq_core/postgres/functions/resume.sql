-- Undo pause of the same, and tell the workers that it concerns. The jobs that fetches have left blocked for a task are ready
-- again, all of them at once.
create or replace function resume(queue text default null, task text default null)
returns void
language plpgsql security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off
as $$
#variable_conflict use_column
declare
    paused boolean;
    held bigint[];
    awake text[];
begin
    -- What was made blocked for the pause has been committed when this delete is done, and the next statement must see it.
    perform check_isolation();
    delete from pauses p
    where p.kind = case when resume.queue is not null then 'queue' when resume.task is not null then 'task' else 'all' end
        and p.name = coalesce(resume.queue, resume.task, '');
    paused := found;
    if resume.queue is not null then
        perform announce(array[resume.queue], null);
    elsif resume.task is null then
        perform announce(ready_queues(), null);
    elsif paused then
        -- Found in the index of blocked jobs, and only then taken in the order of their ids.
        held := array(select j.id from jobs j where j.state = 'blocked' and j.task = resume.task);
        held := array(
            select j.id from jobs j where j.id = any (held) and (j.state = 'blocked') is true order by j.id for update);
        with released as (
            update jobs j set state = 'ready', risen = risen_number() where j.id = any (held) returning j.id, j.queue
        )
        select array_agg(r.queue), array_agg(r.id) into awake, held from released r;
        perform announce(awake, held);
    end if;
end
$$;
