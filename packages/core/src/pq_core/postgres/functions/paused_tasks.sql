-- The tasks that are paused, their pauses held until the transaction ends: whoever resumes one then sees what was left blocked
-- for it meanwhile. One that is just being resumed counts as resumed.
create or replace function paused_tasks()
returns text[]
language plpgsql
as $$
begin
    if not exists (select from pauses p where p.kind = 'task') then
        return '{}';
    end if;
    return array(select p.name from pauses p where p.kind = 'task' for key share skip locked);
end
$$;
