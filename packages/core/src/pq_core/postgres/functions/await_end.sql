-- Have the end of a job told on the channel that is named as the schema, as ended:<id>. Listen there first, and look at the job
-- after: it may have ended before. Nothing is told of a job that is deleted without an end.
create or replace function await_end(job_id bigint)
returns void
language plpgsql security definer
set search_path from current
set lock_timeout = '200ms'
set jit = off set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off
as $$
begin
    begin
        -- Who is just ending the job has looked already for those who wait; who comes to end it after this will see this one.
        perform from jobs j where j.id = await_end.job_id for key share;
    exception when lock_not_available then
        null;  -- somebody holds the job for longer than it takes to end one
    end;
    insert into waits (job_id) select j.id from jobs j where j.id = await_end.job_id on conflict do nothing;
end
$$;
