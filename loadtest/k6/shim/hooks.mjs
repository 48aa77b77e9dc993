// Finds k6's modules here.

/** @type {Record<string, string>} */
const own = { "k6": "./k6.mjs", "k6/http": "./http.mjs", "k6/execution": "./execution.mjs" };

export async function resolve(specifier, context, next) {
  const file = own[specifier];
  return file ? { url: new URL(file, import.meta.url).href, shortCircuit: true } : next(specifier, context);
}
