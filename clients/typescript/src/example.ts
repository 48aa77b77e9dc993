/**
 * A company's first day, against a running server: `node dist/example.js http://127.0.0.1:8000`. The tests
 * run it.
 *
 * Set UPLINE_API_KEY and UPLINE_API_SECRET where the server asks for credentials.
 */

import { strict as assert } from "node:assert";
import { randomUUID } from "node:crypto";
import { env, argv } from "node:process";

import { Client, Problem, type Registration } from "./upline.js";

async function collect<T>(items: AsyncIterable<T>, most = Infinity): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) {
    all.push(item);
    if (all.length === most) break;
  }
  return all;
}

async function main(url: string): Promise<void> {
  const { UPLINE_API_KEY: id, UPLINE_API_SECRET: secret } = env;
  const client = new Client(url, id !== undefined && secret !== undefined ? { key: { id, secret } } : {});

  const [anna, bert] = [randomUUID(), randomUUID()];
  const root = await client.register({ user_id: anna, code: `ANNA-${anna.slice(0, 8)}` });
  const first = await client.register({ user_id: bert, sponsor: { code: root.code } });
  assert.equal(first.parent, anna);
  // The same again is the same member, not a second one; other arguments are told apart.
  assert.equal((await client.register({ user_id: bert, sponsor: { code: root.code } })).user_id, bert);
  const exists = (error: unknown) => error instanceof Problem && error.code === "member_exists";
  await assert.rejects(client.register({ user_id: bert }), exists);

  // Many at once, children after their sponsors.
  const team = Array.from({ length: 2_000 }, () => randomUUID());
  const sponsor = (at: number) => ({ user_id: at < 10 ? anna : (team[at >> 1] ?? anna) });
  const lines: Registration[] = team.map((user_id, at) => ({ user_id, sponsor: sponsor(at) }));
  const answers = await collect(client.registerAll(lines));
  assert.deepEqual(new Set(answers.map((answer) => answer.status)), new Set([201]));
  assert.deepEqual(answers.map((answer) => answer.line), lines.map((_, at) => at + 1));
  const again = await collect(client.registerAll(lines));
  assert.deepEqual(new Set(again.map((answer) => answer.status)), new Set([200]));

  const streamed = (await collect(client.downline(anna))).map((row) => row.user_id);
  const paged = (await collect(client.downlinePages(anna))).map((row) => row.user_id);
  assert.equal(streamed.length, team.length + 1);
  assert.deepEqual(streamed, paged);
  const upline = await collect(client.upline(team.at(-1) ?? bert));
  assert.equal(upline.at(-1)?.user_id, anna);

  const [newestRoot] = await collect(client.members({ roots: true, order: "newest" }), 1);
  assert.equal(newestRoot?.user_id, anna);
  assert.equal(newestRoot?.placement.downline, team.length + 1);

  const order = `order-${randomUUID()}`;
  const amount = { minor: 12_500, currency: "USD" };
  const paid = await client.trigger(bert, "purchase", { amount }, order);
  const repeated = await client.trigger(bert, "purchase", { amount }, order);
  assert.deepEqual(repeated, paid, "the same order pays once");
  const [bonus] = paid.bonuses;
  assert.ok(bonus);
  assert.equal(bonus.receiver, anna);
  assert.equal((await client.pay(bonus.id)).status, "paid");
  assert.deepEqual((await collect(client.bonuses(anna))).map((entry) => entry.id), [bonus.id]);
  assert.equal((await client.report(anna)).total.minor, bonus.amount.minor);

  const events = await collect(client.events(1), 20);
  assert.ok(events.every((event, at) => at === 0 || (events[at - 1]?.lsn ?? 0) < event.lsn));
  const [written] = await collect(client.audit({ kind: "trigger_bonus" }), 1);
  assert.equal(written?.command["source"], bert);
  const [registered, minor] = [team.length + 2, bonus.amount.minor];
  console.log(`registered ${registered} members, paid ${minor} minor units, read ${events.length} events`);
}

await main(argv[2] ?? "http://127.0.0.1:8000");
