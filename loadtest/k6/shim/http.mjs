// `k6/http`, as far as the scripts use it. k6 answers before it returns, so each request is made by a process
// that is waited for.

import { spawnSync } from "node:child_process";

const once = `
  const chunks = [];
  for await (const chunk of process.stdin) chunks.push(chunk);
  const { method, url, headers, body } = JSON.parse(Buffer.concat(chunks).toString());
  const signal = AbortSignal.timeout(30_000);
  const answer = await fetch(url, { method, headers, body, redirect: "manual", signal });
  process.stdout.write(JSON.stringify({ status: answer.status, body: await answer.text() }));
`;

function request(method, url, body, parameters = {}) {
  const input = JSON.stringify({ method, url, headers: parameters.headers ?? {}, body });
  const script = ["--input-type=module", "-e", once];
  const { status, stdout, stderr } = spawnSync(process.execPath, script, { input, encoding: "utf8" });
  if (status !== 0) throw new Error(`${method} ${url}: ${stderr}`);
  const answer = JSON.parse(stdout);
  if (answer.status >= 400) {
    globalThis.__UPLINE_SHIM.failed.push(`${method} ${url}: ${answer.status} ${answer.body}`);
  }
  const json = (selector) => {
    const whole = JSON.parse(answer.body);
    return selector === undefined ? whole : whole[selector];
  };
  return { ...answer, json };
}

export default {
  get: (url, parameters) => request("GET", url, undefined, parameters),
  post: (url, body, parameters) => request("POST", url, body, parameters),
};
