-- Tell those who wait for the end of these jobs that it has come, and forget that they wait: one notification a job, at commit.
create or replace function tell_waiters(ids bigint[])
returns void
language plpgsql
as $$
declare
    told bigint;
begin
    if exists (select from waits) then
        for told in delete from waits w where w.job_id = any (tell_waiters.ids) returning w.job_id loop
            perform pg_notify(current_schema(), 'ended:' || told);
        end loop;
    end if;
end
$$;
