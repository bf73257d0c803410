-- Whether arguments hold all that is wanted: each name with an equal JSON value, numbers by what they are worth.
--
-- A value that jsonb cannot hold, as one written by hand may be, is equal to none.
create or replace function has_args(args json, wanted jsonb)
returns boolean
language plpgsql immutable
as $$
begin
    return not exists (select from jsonb_each(has_args.wanted) w where (has_args.args -> w.key)::jsonb is distinct from w.value);
exception when others then
    return false;
end
$$;
