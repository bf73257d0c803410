-- Workers of running jobs that have no row, found by one step in the index for each worker.
create or replace function missing_workers()
returns bigint[]
language sql stable
as $$
    with recursive step (worker) as (
        (select j.worker from jobs j where j.state = 'running' and j.worker is not null order by j.worker limit 1)
        union all
        select (select j.worker from jobs j where j.state = 'running' and j.worker > s.worker order by j.worker limit 1)
        from step s where s.worker is not null
    )
    select coalesce(array_agg(s.worker), '{}') from step s
    where s.worker is not null and not exists (select from workers w where w.id = s.worker)
$$;
