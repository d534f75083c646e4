// A service reduced to its PostgreSQL, for tests that kill it: node embedded-owner.mjs <URL of server.js> <dataDir>.
// Prints one line of JSON when PostgreSQL is ready, then lives until it is killed.
const [, , moduleUrl, dataDir] = process.argv
const { startPostgresServer } = await import(moduleUrl)
const ignore = () => undefined
const logger = { debug: ignore, info: ignore, warn: ignore, error: ignore }
const server = await startPostgresServer({ dataDir, logger, settings: { shared_buffers: '16MB' } })
process.stdout.write(`${JSON.stringify({ dsn: server.dsn, pid: server.pid })}\n`)
setInterval(ignore, 60_000)
