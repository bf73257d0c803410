-- Make jobs of paused tasks blocked: those in `held`, and with them those without a lock, or with a lock of these, among the next
-- thousand ready jobs of each of these queues, so that the next fetch does not come to each of them in turn. Part of fetch, with
-- whose settings it runs.
--
-- A job with a lock is made blocked only under the advisory lock that stands for that. Then the lock is woken: a mutex job may
-- have been passed over for this one.
create or replace function hold(held bigint[], queues text[], last_life boolean)
returns void
language plpgsql
as $$
#variable_conflict use_column
declare
    tasks constant text[] := paused_tasks();
    locks bigint[] := array(select distinct j.lock_key from jobs j where j.id = any (hold.held) and (j.lock_key is not null) is true);
    tried bigint[] := array(select k from unnest(locks) k where pg_try_advisory_xact_lock(advisory_key(k)));
    behind bigint[];
begin
    update jobs j set state = 'blocked'
    where j.id = any (hold.held) and j.task = any (tasks) and (j.lock_key is null or j.lock_key = any (tried)) is true;
    if hold.last_life then
        behind := array(
            select n.id from unnest(hold.queues) q, lateral (
                select j.id, j.task, j.lock_key from jobs j
                where j.queue = q and j.state = 'ready' and j.losses >= j.max_losses - 1
                order by j.priority desc, j.id limit 1000) n
            where n.task = any (tasks) and (n.lock_key is null or n.lock_key = any (tried)) limit 1000);
    else
        behind := array(
            select n.id from unnest(hold.queues) q, lateral (
                select j.id, j.task, j.lock_key from jobs j
                where j.queue = q and j.state = 'ready' and j.losses < j.max_losses - 1
                order by j.priority desc, j.id limit 1000) n
            where n.task = any (tasks) and (n.lock_key is null or n.lock_key = any (tried)) limit 1000);
    end if;
    behind := array(select j.id from jobs j where j.id = any (behind) and (j.state = 'ready') is true for update skip locked);
    update jobs j set state = 'blocked' where j.id = any (behind);
    perform wake(tried);
end
$$;
