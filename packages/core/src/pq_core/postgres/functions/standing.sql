-- Where a live job stands: the running job of its lock; the job that its lock's line puts before it; how many ready jobs of its
-- queue are before it (most at most); and the time. The last is there for any id.
create or replace function standing(job bigint, most integer, now timestamptz default null)
returns table (holder bigint, before bigint, ahead bigint, at timestamptz)
language plpgsql stable security definer
set search_path from current
set jit = off set plan_cache_mode = force_generic_plan
set enable_seqscan = off set enable_bitmapscan = off set enable_hashjoin = off set enable_mergejoin = off set enable_sort = off
as $$
#variable_conflict use_column
declare
    it record;
begin
    select j.id, j.queue, j.priority, j.lock_key into it from jobs j where j.id = standing.job;
    return query select
        (select r.id from jobs r where r.lock_key = it.lock_key and r.state = 'running' and r.id <> it.id),
        (select f.id from (
            select j.id from jobs j where j.lock_key = it.lock_key order by j.priority desc, j.id limit 1) f where f.id <> it.id),
        -- By ranges of each index: read from the head of the queue it would be read to its end if few are before the job.
        (select count(*) from (
            (select from jobs j where j.queue = it.queue and j.state = 'ready' and j.losses < j.max_losses - 1
                and j.priority > it.priority limit standing.most)
            union all
            (select from jobs j where j.queue = it.queue and j.state = 'ready' and j.losses < j.max_losses - 1
                and j.priority = it.priority and j.id < it.id limit standing.most)
            union all
            (select from jobs j where j.queue = it.queue and j.state = 'ready' and j.losses >= j.max_losses - 1
                and j.priority > it.priority limit standing.most)
            union all
            (select from jobs j where j.queue = it.queue and j.state = 'ready' and j.losses >= j.max_losses - 1
                and j.priority = it.priority and j.id < it.id limit standing.most)
            limit standing.most) a),
        coalesce(standing.now, statement_timestamp());
end
$$;
