// A day's mixture: mostly questions, some signups, some bonuses. `RATE` is that of all together:
// `k6 run -e RATE=2000 mixed.js`.

import { ask, begin, number, payReferral, signUp, thresholds } from "./network.js";

const rate = number("RATE", 1000);

/**
 * A scenario with its share of the rate.
 * @param {string} exec
 * @param {number} share
 * @returns {import("k6/options").Scenario}
 */
function scenario(exec, share) {
  return {
    executor: "constant-arrival-rate",
    exec,
    rate: Math.max(1, Math.round(rate * share)),
    timeUnit: "1s",
    duration: __ENV.DURATION || "1m",
    preAllocatedVUs: 64,
    maxVUs: 512,
  };
}

/** @type {import("k6/options").Options} */
export const options = {
  scenarios: {
    reads: scenario("reads", 0.8),
    signups: scenario("signups", 0.15),
    bonuses: scenario("bonuses", 0.05),
  },
  thresholds: thresholds({
    "http_req_duration{scenario:reads}": ["p(99)<10"],
    "http_req_duration{scenario:signups}": ["p(99)<25"],
    "http_req_duration{scenario:bonuses}": ["p(99)<25"],
  }),
};

export function setup() {
  return begin();
}

/** @param {import("./network.js").Network} network */
export function reads(network) {
  ask(network);
}

/** @param {import("./network.js").Network} network */
export function signups(network) {
  signUp(network, 2);
}

/** @param {import("./network.js").Network} network */
export function bonuses(network) {
  payReferral(network);
}

/**
 * One of each: what `k6 run --iterations 1` does.
 * @param {import("./network.js").Network} network
 */
export default function (network) {
  reads(network);
  signups(network);
  bonuses(network);
}
