// graphile-worker in the configuration that its documents give for speed: a local queue of 500, and completions in batches.
// It deletes jobs that succeeded. Takes the commands of contestants/__main__.py, from the same environment.
"use strict";
const fs = require("node:fs");
const { Logger, makeWorkerUtils, run, runMigrations } = require("graphile-worker");
const { Pool } = require("pg");

const BATCH = 1000;
const WARM_UP = 20;
const GAP = [20, 60];
const HEAD = 24;
const STEP = 0.1;
const LOCKS = 100;
const AHEAD = 1;

const logger = new Logger(() => () => {});
const [command, argument, ...more] = process.argv.slice(2);
const count = Number(argument);
const dsn = new URL(process.env.BENCH_DSN.replace("postgres@/", "postgres@localhost/"));
const database = {
  host: dsn.searchParams.get("host"),
  port: Number(dsn.searchParams.get("port")),
  user: dsn.username,
  database: dsn.pathname.slice(1),
};
const now = () => Number(process.hrtime.bigint()) / 1e9; // The monotonic clock, as Python reads it.
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function stopwatch() {
  const wall = now();
  const cpu = process.cpuUsage();
  return (jobs) => {
    const used = process.cpuUsage(cpu);
    console.log(JSON.stringify({ jobs, seconds: now() - wall, cpu: (used.user + used.system) / 1e6 }));
  };
}

async function withUtils(action) {
  const pgPool = new Pool({ ...database, max: 4 });
  const utils = await makeWorkerUtils({ pgPool, logger });
  try {
    await action(utils);
  } finally {
    await utils.release();
    await pgPool.end();
  }
}

async function install() {
  const pgPool = new Pool({ ...database, max: 2 });
  await runMigrations({ pgPool, logger });
  await pgPool.end();
}

const bulk = (utils) => enqueueBatches(utils, stopwatch());

async function enqueueBatches(utils, tell) {
  const batch = Number(more[0] ?? BATCH);
  for (let left = count; left > 0; left -= batch) {
    const size = Math.min(batch, left);
    await utils.addJobs(Array.from({ length: size }, () => ({ identifier: "noop", payload: {} })));
  }
  tell(count);
}

async function enqueue(utils) {
  for (let i = 0; i < WARM_UP; i++) await utils.addJob("noop", {});
  const tell = stopwatch();
  for (let i = 0; i < count; i++) await utils.addJob("noop", {});
  tell(count);
}

/** Enqueue so many jobs a second, some at a time: plain ones, or with locks, or scheduled ones. */
async function feed(utils) {
  const seconds = Number(more[0]);
  const began = now();
  const tell = stopwatch();
  const extra = {
    locks: (number) => ({ queueName: `lock ${number % LOCKS}` }),
    schedules: () => ({ runAt: new Date(Date.now() + AHEAD * 1000) }),
    plain: () => ({}),
  }[more[1]];
  let enqueued = 0;
  while (now() - began < seconds) {
    const due = Math.min(Math.floor((now() - began) * count) - enqueued, BATCH);
    if (due < count * STEP) {
      await pause(STEP * 250);
      continue;
    }
    await utils.addJobs(Array.from({ length: due }, (_, n) => ({ identifier: "noop", payload: {}, ...extra(enqueued + n) })));
    enqueued += due;
  }
  tell(enqueued);
}

async function probe(utils) {
  const calls = [];
  for (let number = 0; number < count; number++) {
    const began = now();
    await utils.addJob("noop", { probe: number });
    calls.push([began, now()]);
    await pause(GAP[0] + Math.random() * (GAP[1] - GAP[0]));
  }
  console.log(JSON.stringify({ calls }));
}

/** Write what tally.py reads. The head is written every 10 ms, since each write is a system call. */
function openTally() {
  const file = fs.openSync(process.env.BENCH_TALLY, "r+");
  const head = Buffer.alloc(HEAD);
  const time = Buffer.alloc(8);
  let starts = 0;
  let dirty = false;
  setInterval(() => {
    if (!dirty) return;
    dirty = false;
    head.writeBigInt64LE(BigInt(starts), 0);
    fs.writeSync(file, head, 0, HEAD, 0);
  }, 10);
  return (number) => {
    const start = now();
    if (starts++ === 0) head.writeDoubleLE(start, 8);
    head.writeDoubleLE(start, 16);
    dirty = true;
    if (number === undefined) return;
    time.writeDoubleLE(start);
    fs.writeSync(file, time, 0, 8, HEAD + 8 * number);
  };
}

async function work() {
  process.stdin.resume().on("end", () => process.exit(1)); // A benchmark that was killed leaves no worker behind.
  const tick = openTally();
  const pgPool = new Pool({ ...database, max: count + 1 });
  const runner = await run({
    pgPool,
    taskList: { noop: async ({ probe: number }) => tick(number) },
    preset: {
      worker: {
        concurrentJobs: count,
        maxPoolSize: count + 1,
        logger,
        localQueue: { size: 500 },
        completeJobBatchDelay: 0,
        failJobBatchDelay: 0,
      },
    },
  });
  await runner.promise;
}

const commands = {
  install,
  work,
  bulk: () => withUtils(bulk),
  enqueue: () => withUtils(enqueue),
  probe: () => withUtils(probe),
  feed: () => withUtils(feed),
};
commands[command]().catch((error) => {
  console.error(error);
  process.exit(1);
});
