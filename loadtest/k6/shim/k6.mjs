// `k6`, as far as the scripts use it.

export function check(value, checks) {
  const results = Object.entries(checks).map(([name, holds]) => ({ name, ok: Boolean(holds(value)) }));
  globalThis.__UPLINE_SHIM.checks.push(...results);
  return results.every(({ ok }) => ok);
}

export function fail(message) {
  throw new Error(message);
}
