// An order and its job, stored together or not at all, by a program in JavaScript. Needs `npm install pg`.
import pg from "pg";

const client = new pg.Client(); // found by PGHOST, PGPORT, PGUSER, PGDATABASE
await client.connect();
try {
  await client.query("begin");
  await client.query("create table if not exists parcels (id bigint primary key)");
  await client.query("insert into parcels values ($1)", [8]);
  const { rows } = await client.query(
    "select pq.defer($1, $2, queue => $3, priority => $4::smallint) as id",
    ["shop.ship", JSON.stringify({ order: 8 }), "shipping", 5],
  );
  await client.query("commit");
  console.log(`job ${rows[0].id} is deferred`);
} finally {
  await client.end();
}
