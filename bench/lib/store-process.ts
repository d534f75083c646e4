/** Entry of a storing process: prepares and stores what it is told, one plan after the other. */
import { resolveDsn } from '../../src/postgres/dsn.ts'
import { copyMethod, insertMethod, type Method, unnestMethod, writerMethod } from './store-methods.ts'
import type { StoreEvent, StoreMethod, StorePlan } from './store-plan.ts'

const dsn = process.argv[2] ?? ''
const methods = new Map<StoreMethod, Method>()

async function open(method: StoreMethod): Promise<Method> {
  if (method === 'writer') return writerMethod(dsn)
  const config = await resolveDsn(dsn)
  if (method === 'copy') return copyMethod(config)
  return method === 'unnest' ? unnestMethod(config) : insertMethod(config)
}

async function store(plan: StorePlan): Promise<StoreEvent> {
  const method = methods.get(plan.method) ?? (await open(plan.method))
  methods.set(plan.method, method)
  const storeAll = await method(plan)
  const cpuBefore = process.cpuUsage()
  const startMs = performance.now()
  const { batchRows } = await storeAll()
  const seconds = (performance.now() - startMs) / 1000
  const cpu = process.cpuUsage(cpuBefore)
  const cpuUsPerRow = (cpu.user + cpu.system) / plan.rows
  return { type: 'stored', result: { rowsPerSecond: plan.rows / seconds, cpuUsPerRow, batchRows } }
}

function tell(event: StoreEvent): void {
  process.send?.(event)
}

process.on('message', (plan: StorePlan) => {
  store(plan).then(tell, (error: unknown) => tell({ type: 'failed', reason: String(error) }))
})
process.on('disconnect', () => process.exit(0))
tell({ type: 'ready' })
