// Runs a script of k6 once, without k6: `node shim/run.mjs signup.js http://127.0.0.1:8000`. For the tests.
//
// `setup`, then the default function and every function that a scenario names, as k6 would call them, with
// the modules of k6 that the scripts use in a few lines each. Checks that fail, and requests that fail, fail
// the run. What it does not do: pace, repeat, or look at thresholds.

import { register } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

const [script, url, ...settings] = process.argv.slice(2);
globalThis.__ENV = { URL: url, ...Object.fromEntries(settings.map((setting) => setting.split("="))) };
globalThis.__UPLINE_SHIM = { checks: [], failed: [], iteration: 0 };

register("./hooks.mjs", import.meta.url);
const module = await import(pathToFileURL(path.resolve(script)).href);

const executors = [
  "shared-iterations", "per-vu-iterations", "constant-vus", "ramping-vus", "constant-arrival-rate",
  "ramping-arrival-rate", "externally-controlled",
];
const scenarios = Object.values(module.options.scenarios);
for (const scenario of scenarios) {
  if (!executors.includes(scenario.executor)) throw new Error(`no such executor: ${scenario.executor}`);
  if (!scenario.executor.endsWith("arrival-rate")) throw new Error(`${scenario.executor} is a closed loop`);
}
if (typeof module.default !== "function") throw new Error("no default function");
const functions = [module.default];
for (const { exec } of scenarios) {
  if (exec === undefined) continue;
  if (typeof module[exec] !== "function") throw new Error(`no function ${exec}`);
  functions.push(module[exec]);
}

// As k6 does, data goes through JSON.
const data = JSON.parse(JSON.stringify((await module.setup?.()) ?? null));
for (const run of functions) {
  await run(data);
  globalThis.__UPLINE_SHIM.iteration += 1;
}
await module.teardown?.(data);

const { checks, failed } = globalThis.__UPLINE_SHIM;
for (const { name, ok } of checks) if (!ok) failed.push(`check: ${name}`);
if (checks.length === 0) failed.push("nothing was checked");
const done = { script: path.basename(script), functions: functions.length, checks: checks.length, failed };
console.log(JSON.stringify(done));
process.exitCode = failed.length === 0 ? 0 : 1;
