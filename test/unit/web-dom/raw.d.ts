/** A file as its text, as Vite gives it. */
declare module '*?raw' {
  const text: string
  // biome-ignore lint/style/noDefaultExport: it is how Vite gives it.
  export default text
}
