-- Workers of running jobs that have no row, found by one step in the index for each gap between those that have one: of the jobs
-- of these, and of what an index keeps of those that have ended, nothing is read.
create or replace function missing_workers()
returns bigint[]
language plpgsql stable
as $$
declare
    after bigint := -9223372036854775808;
    before bigint;
    other bigint;
    missing bigint[] := '{}';
begin
    -- All in one snapshot, as it is stable: else a worker could come between the look at workers and that at jobs.
    for before in select w.id from workers w union all select null order by 1 nulls last loop
        loop
            if before is null then
                select j.worker into other from jobs j where j.state = 'running' and j.worker > after order by j.worker limit 1;
            else
                select j.worker into other from jobs j
                where j.state = 'running' and j.worker > after and j.worker < before order by j.worker limit 1;
            end if;
            exit when other is null;
            missing := missing || other;
            after := other;
        end loop;
        after := before;
    end loop;
    return missing;
end
$$;
