-- A job's errors with one more (null: none), stamped with the time; the last ten are kept.
create or replace function with_error(errors jsonb, entry jsonb, at timestamptz)
returns jsonb
language sql stable
as $$
    select case
        when $2 is null then $1
        else jsonb_path_query_array(
            $1 || jsonb_build_array($2 || jsonb_build_object('at', to_char($3 at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"+00:00"'))),
            '$[last - 9 to last]')
    end
$$;
