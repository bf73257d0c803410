-- What a run has said of its progress (null: nothing), with the time.
create or replace function stamped(progress text, at timestamptz)
returns json
language sql stable
as $$
    select case
        when $1 is null then null
        else ($1::jsonb || jsonb_build_object('at', to_char($2 at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"')))::json
    end
$$;
