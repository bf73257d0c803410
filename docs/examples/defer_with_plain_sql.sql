-- A job for every order, whoever stores the order: psql, a batch, another program.
create table orders (id bigint primary key, customer text not null);

create function ship_order() returns trigger language plpgsql as $$
begin
    perform pq.defer(
        'shop.ship',
        json_build_object('order', new.id),
        queue => 'shipping',
        lock => 'customer ' || new.customer,
        delay => '5 minutes');
    return null;
end
$$;

create trigger ship_order after insert on orders for each row execute function ship_order();

-- Many at once, and one that nobody wants twice.
select pq.defer('shop.remind', json_build_object('customer', c), delay => '1 day') from unnest(array['ada', 'bob']) c;
select pq.defer('shop.count', unique_key => 'count', on_conflict => 'skip');
