// Signups at a steady rate, whatever the server does: `k6 run -e RATE=2000 -e DURATION=1m signup.js`.

import { begin, number, signUp, thresholds } from "./network.js";

/** @type {import("k6/options").Options} */
export const options = {
  scenarios: {
    signup: {
      executor: "constant-arrival-rate",
      rate: number("RATE", 1000),
      timeUnit: "1s",
      duration: __ENV.DURATION || "1m",
      preAllocatedVUs: 256,
      maxVUs: 1024,
    },
  },
  // A signup waits for two syncs at most. A disk that takes 5 ms for one keeps to this.
  thresholds: thresholds({ "http_req_duration{name:POST /user/register}": ["p(99)<25", "p(99.9)<100"] }),
};

export function setup() {
  return begin();
}

/** @param {import("./network.js").Network} network */
export default function (network) {
  signUp(network, 1);
}
