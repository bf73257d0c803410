-- Forget unique keys whose period is over, a thousand at most: they mean nothing any more. Part of rescue. One at a time is enough.
create or replace function tidy(at timestamptz)
returns void
language plpgsql
as $$
#variable_conflict use_column
begin
    delete from unique_periods u where u.key = any (array(
        select p.key from unique_periods p where p.until <= tidy.at order by p.until limit 1000 for update skip locked));
end
$$;
