// Questions about single members at a steady rate: `k6 run -e RATE=5000 reads.js`.

import { ask, begin, number, thresholds } from "./network.js";

/** @type {import("k6/options").Options} */
export const options = {
  scenarios: {
    reads: {
      executor: "constant-arrival-rate",
      rate: number("RATE", 2000),
      timeUnit: "1s",
      duration: __ENV.DURATION || "1m",
      preAllocatedVUs: 64,
      maxVUs: 512,
    },
  },
  thresholds: thresholds({ http_req_duration: ["p(99)<10", "p(99.9)<50"] }),
};

export function setup() {
  return begin();
}

/** @param {import("./network.js").Network} network */
export default function (network) {
  ask(network);
}
