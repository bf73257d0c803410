-- Let a waiting job do what a new one was to do, at the time of the new one; return its queue, or null if it waits no more, and the
-- locks to wake. Part of store_unique.
--
-- The job is ready or scheduled after it, so no wake of its lock is missed. Of its lock others are to be woken only if it
-- lets them go before: as one of lower priority, or as a mutex job that is put off, for which they do not wait.
create or replace function replace_waiting(holder bigint, job new_job, out queue text, out freed bigint[])
language plpgsql
as $$
#variable_conflict use_column
declare
    before record;
begin
    select j.queue, j.priority, j.lock_key, j.lock_mode, j.state into before from jobs j
    where j.id = replace_waiting.holder and (j.state <> 'running') is true
    for update;
    if not found then
        return;
    end if;
    if before.lock_key is not null and (
        job.priority < before.priority
        or (before.lock_mode = 'mutex' and job.state = 'scheduled' and before.state <> 'scheduled'))
    then
        perform check_isolation();
        freed := array[before.lock_key];
    end if;
    update jobs j set
        task = job.task, args = job.args, version = nullif(job.version, 1), metadata = job.metadata, priority = job.priority,
        state = job.state, scheduled_at = job.scheduled_at, expires_at = job.expires_at, risen = risen_number()
    where j.id = replace_waiting.holder;
    queue := before.queue;
end
$$;
