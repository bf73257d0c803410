-- The number of this transaction, which grows from one to the next. In this form it costs next to nothing for each row.
create or replace function xact_number()
returns bigint
language sql stable
as $$ select txid_current() $$;
