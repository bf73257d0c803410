-- Waking after a change needs a fresh snapshot for each statement; under a frozen one a wake-up would be lost.
create or replace function check_isolation()
returns void
language plpgsql stable
as $$
begin
    if current_setting('transaction_isolation') <> 'read committed' then
        raise exception 'pq changes jobs under READ COMMITTED only, not under %', upper(current_setting('transaction_isolation'))
            using errcode = 'PQ003', hint = 'Call it in a transaction of its own, or begin with isolation level read committed.';
    end if;
end
$$;
