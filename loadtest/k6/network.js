// What all scripts share: where the server is, the members they ask about, and one function for each kind of
// request.
//
// Settings come from the environment (`k6 run -e RATE=500 signup.js`):
//   URL       the server, http://127.0.0.1:8000
//   RATE      iterations a second; DURATION how long, e.g. 30s; each script has its own defaults
//   KEY_ID, KEY_SECRET    a service key, where the server asks for one
//   MEMBERS   members that `setup` signs up for the others to be asked about, sponsored and credited, 1000
//   KIND, VOLUME    a kind of orders of the server's plan, and a volume, `retail` and `pv`, as of `upline
//             demo`; `-` where the plan has none

import { check, fail } from "k6";
import exec from "k6/execution";
import http from "k6/http";

const url = __ENV.URL || "http://127.0.0.1:8000";
const members = Number(__ENV.MEMBERS || 1000);
const [kind, volume] = [__ENV.KIND || "retail", __ENV.VOLUME || "pv"];
/** Lines of one batch that `setup` sends. */
const BATCH = 500;

/**
 * What `setup` hands to every iteration.
 * @typedef {object} Network
 * @property {string} run eight hexadecimal digits that no other run has, which all its ids begin with
 * @property {number} members members that were signed up ahead
 */

/** @type {Record<string, string>} */
const headers = { "Content-Type": "application/json" };
if (__ENV.KEY_ID && __ENV.KEY_SECRET) {
  headers["X-Api-Key"] = __ENV.KEY_ID;
  headers["X-Api-Secret"] = __ENV.KEY_SECRET;
}

/**
 * A number from the environment.
 * @param {string} name
 * @param {number} otherwise
 */
export function number(name, otherwise) {
  const value = Number(__ENV[name] || otherwise);
  if (!(value > 0)) throw new Error(`${name} must be a number above 0`);
  return value;
}

/**
 * A UUID of this run: `group` keeps ids of different scenarios apart.
 * @param {Network} network
 * @param {number} group
 * @param {number} member
 */
export function id(network, group, member) {
  const [second, last] = [group.toString(16).padStart(4, "0"), member.toString(16).padStart(12, "0")];
  return `${network.run}-${second}-4000-8000-${last}`;
}

/**
 * Signs up a root and members below it, who then sponsor and are asked about.
 * @returns {Network}
 */
export function begin() {
  const run = Math.floor(Math.random() * 2 ** 32).toString(16).padStart(8, "0");
  const network = { run, members };
  const root = http.post(`${url}/user/register`, JSON.stringify({ user_id: id(network, 0, 0) }), { headers });
  if (root.status !== 200) fail(`the root was not registered: ${root.status} ${root.body}`);
  for (let first = 1; first < members; first += BATCH) {
    const lines = [];
    for (let member = first; member < Math.min(first + BATCH, members); member += 1) {
      const sponsor = { user_id: id(network, 0, 0) };
      lines.push(JSON.stringify({ user_id: id(network, 0, member), sponsor }));
    }
    const sent = http.post(`${url}/v1/members/batch`, `${lines.join("\n")}\n`, {
      headers: { ...headers, "Content-Type": "application/x-ndjson" },
    });
    if (sent.status !== 200) fail(`members were not registered: ${sent.status} ${sent.body}`);
  }
  return network;
}

/** @param {Network} network */
function anybody(network) {
  return id(network, 0, Math.floor(Math.random() * network.members));
}

/**
 * Signs a new member up below somebody.
 * @param {Network} network
 * @param {number} group a number of this scenario's own, not 0
 */
export function signUp(network, group) {
  const member = id(network, group, exec.scenario.iterationInTest);
  const body = JSON.stringify({ user_id: member, parent_id: anybody(network) });
  const answer = http.post(`${url}/user/register`, body, { headers, tags: { name: "POST /user/register" } });
  check(answer, {
    "signed up": (answer) => answer.status === 200,
    "it is the member that was asked for": (answer) =>
      answer.status === 200 && answer.json("user_id") === member,
  });
}

/**
 * Places an order that is credited to somebody; one in four was bought by a customer of theirs.
 * @param {Network} network
 */
export function placeOrder(network) {
  const order = `${network.run}-${exec.scenario.iterationInTest}`;
  const member = anybody(network);
  const body = JSON.stringify({
    order_id: order,
    user_id: member,
    customer: exec.scenario.iterationInTest % 4 === 0 ? `customer-${member}` : undefined,
    kind: kind === "-" ? undefined : kind,
    lines: [{ amount: "49.95", volumes: volume === "-" ? {} : { [volume]: "40" } }],
  });
  const answer = http.post(`${url}/v1/orders`, body, { headers, tags: { name: "POST /v1/orders" } });
  check(answer, {
    "the order was placed": (answer) => answer.status === 201,
    "it is the order that was sent": (answer) => answer.status === 201 && answer.json("order_id") === order,
  });
}

/**
 * Pays the uplines of somebody.
 * @param {Network} network
 */
export function payReferral(network) {
  const body = JSON.stringify({ source_user_id: anybody(network), trigger_type: "referral" });
  const answer = http.post(`${url}/bonus/`, body, { headers, tags: { name: "POST /bonus/" } });
  check(answer, { "bonuses were paid": (answer) => answer.status === 200 });
}

/**
 * One of the four questions about one member.
 * @param {Network} network
 */
export function ask(network) {
  const member = anybody(network);
  const questions = [
    { path: `/v1/members/${member}`, name: "GET /v1/members/{id}" },
    { path: `/v1/members/${member}/rank`, name: "GET /v1/members/{id}/rank" },
    { path: `/v1/members/${member}/upline?limit=15`, name: "GET /v1/members/{id}/upline" },
    { path: `/user/downline/${member}/count`, name: "GET /user/downline/{id}/count" },
  ];
  const question = questions[exec.scenario.iterationInTest % questions.length] ?? fail("there are questions");
  const answer = http.get(url + question.path, { headers, tags: { name: question.name } });
  check(answer, { "answered": (answer) => answer.status === 200 });
}

/**
 * What every load must keep to: all is answered, and well, and the generator keeps up.
 * @param {{ [name: string]: string[] }} more
 * @returns {{ [name: string]: string[] }}
 */
export function thresholds(more) {
  return { checks: ["rate==1"], http_req_failed: ["rate==0"], dropped_iterations: ["count==0"], ...more };
}
