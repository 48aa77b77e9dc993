// Hours at a moderate rate, with a slow start and end: `k6 run -e RATE=500 -e DURATION=8h soak.js`. Watch the
// server's memory, log and snapshots meanwhile (`/metrics`): latencies must not grow with the network.

import { ask, begin, number, payReferral, signUp, thresholds } from "./network.js";

const rate = number("RATE", 200);

/** @type {import("k6/options").Options} */
export const options = {
  scenarios: {
    soak: {
      executor: "ramping-arrival-rate",
      startRate: 1,
      timeUnit: "1s",
      preAllocatedVUs: 64,
      maxVUs: 512,
      stages: [
        { target: rate, duration: "1m" },
        { target: rate, duration: __ENV.DURATION || "1h" },
        { target: 0, duration: "1m" },
      ],
    },
  },
  // In hours a machine has other things to do now and then.
  thresholds: thresholds({ http_req_duration: ["p(99)<50", "p(99.9)<250"] }),
};

export function setup() {
  return begin();
}

/** @param {import("./network.js").Network} network */
export default function (network) {
  const draw = Math.random();
  if (draw < 0.8) ask(network);
  else if (draw < 0.95) signUp(network, 3);
  else payReferral(network);
}
