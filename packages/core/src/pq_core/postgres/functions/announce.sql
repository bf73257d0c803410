-- Tell listening workers that these queues (null: none) have something to fetch: one notification a queue, at commit, on the
-- channel that is named as the schema.
create or replace function announce(queues text[])
returns void
language plpgsql
as $$
begin
    if announce.queues <> '{}' then
        perform pg_notify(current_schema(), 'queue:' || q) from unnest(announce.queues) q;
    end if;
end
$$;
