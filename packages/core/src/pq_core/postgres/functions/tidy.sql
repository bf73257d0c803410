-- Forget unique keys whose period is over, and who began to wait for the end of a job a day ago or more, a thousand of each at
-- most: these have gone, or look again by themselves. Part of rescue.
create or replace function tidy(at timestamptz)
returns void
language plpgsql
as $$
begin
    delete from unique_periods u where u.key = any (array(
        select p.key from unique_periods p where p.until <= tidy.at order by p.until limit 1000 for update skip locked));
    -- By the real clock, which is what they began by.
    delete from waits w where w.job_id = any (array(
        select o.job_id from waits o where o.since < statement_timestamp() - interval '1 day' limit 1000 for update skip locked));
end
$$;
