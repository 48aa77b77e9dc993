// Signups and orders, half of each, at a steady rate: `k6 run -e RATE=2000 orders.js`. The server's plan must
// take orders, as that of `upline demo` does.

import { begin, number, placeOrder, signUp, thresholds } from "./network.js";

const rate = number("RATE", 1000);

/**
 * A scenario with half of the rate.
 * @param {string} exec
 * @returns {import("k6/options").Scenario}
 */
function scenario(exec) {
  return {
    executor: "constant-arrival-rate",
    exec,
    rate: Math.max(1, Math.round(rate / 2)),
    timeUnit: "1s",
    duration: __ENV.DURATION || "1m",
    preAllocatedVUs: 128,
    maxVUs: 512,
  };
}

/** @type {import("k6/options").Options} */
export const options = {
  scenarios: { signups: scenario("signups"), orders: scenario("orders") },
  // Both wait for two syncs at most. A disk that takes 5 ms for one keeps to this.
  thresholds: thresholds({
    "http_req_duration{scenario:signups}": ["p(99)<25", "p(99.9)<100"],
    "http_req_duration{scenario:orders}": ["p(99)<25", "p(99.9)<100"],
  }),
};

export function setup() {
  return begin();
}

/** @param {import("./network.js").Network} network */
export function signups(network) {
  signUp(network, 4);
}

/** @param {import("./network.js").Network} network */
export function orders(network) {
  placeOrder(network);
}

/**
 * One of each: what `k6 run --iterations 1` does.
 * @param {import("./network.js").Network} network
 */
export default function (network) {
  signups(network);
  orders(network);
}
