/** Loaded into a server before its own code: SIGUSR2 makes it give back what it no longer needs. Needs `--expose-gc`. */
process.on('SIGUSR2', () => {
  // The second pass frees what finalizers of the first let go.
  globalThis.gc?.()
  globalThis.gc?.()
})
