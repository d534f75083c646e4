// To be imported before `pg`, which asks `navigator` where it runs. Node 20 has none, and `pg` then makes a Response to see that: Node
// loads all of `fetch` for it, which takes a tenth of a start. Later versions have one that says this.
if (!('navigator' in globalThis)) {
  const [major] = process.versions.node.split('.')
  Object.defineProperty(globalThis, 'navigator', { value: { userAgent: `Node.js/${major}` }, configurable: true })
}
