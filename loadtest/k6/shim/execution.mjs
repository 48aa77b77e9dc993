// `k6/execution`, as far as the scripts use it.

export default {
  scenario: {
    get iterationInTest() {
      return globalThis.__UPLINE_SHIM.iteration;
    },
  },
};
