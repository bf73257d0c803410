-- Tell listening workers that these jobs may be fetched, each given with its queue (null: none): one notification a queue, at
-- commit, on the channel that is named as the schema. A queue by itself is that of all the jobs, whose ids then ascend. With no ids
-- there may be anything in the queues. alone: see is_herald(); jobs of several queues are always told of.
--
-- What it says is queue:<number of the transaction>:<ids>:<name of the queue>. The ids are those of up to ten jobs, joined by
-- commas, or the first and the last, joined by a hyphen, of more.
create or replace function announce(queues text[], ids bigint[], alone boolean default false)
returns void
language plpgsql
as $$
begin
    if announce.queues is null or announce.queues = '{}'
        or not is_herald(announce.alone and announce.queues[1] = all (announce.queues), announce.queues[1])
    then
        return;
    end if;
    if cardinality(announce.queues) = 1 then
        perform pg_notify(
            current_schema(),
            format('queue:%s:%s:%s', xact_number(),
                case when cardinality(announce.ids) > 10 then announce.ids[1] || '-' || announce.ids[cardinality(announce.ids)]
                    else array_to_string(announce.ids, ',') end, announce.queues[1]));
    else
        perform pg_notify(
            current_schema(),
            format('queue:%s:%s:%s', xact_number(),
                case when count(*) <= 10 then array_to_string(array_agg(j.id), ',') else min(j.id) || '-' || max(j.id) end, j.queue))
        from unnest(announce.queues, announce.ids) j (queue, id) group by j.queue;
    end if;
end
$$;
