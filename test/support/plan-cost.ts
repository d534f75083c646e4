// What a prepared statement looks at, as EXPLAIN (ANALYZE) tells it.
import type pg from 'pg'

interface Plan {
  readonly 'Node Type': string
  readonly 'Relation Name'?: string
  readonly 'Actual Rows': number
  readonly 'Actual Loops': number
  readonly 'Rows Removed by Filter'?: number
  readonly 'Shared Hit Blocks': number
  readonly 'Shared Read Blocks': number
  readonly Plans?: readonly Plan[]
}

export interface Cost {
  /** How relations are read. */
  readonly scans: readonly string[]
  /** Rows of `messages` looked at, also those that a filter removed. */
  readonly messages: number
  readonly conversations: number
  readonly blocks: number
}

/** Executes the statement, by the plan that the session has for it or makes now. */
export async function costOfExecuting(client: pg.Client, name: string, values: readonly string[]): Promise<Cost> {
  const list = values.map((value) => `'${value}'`).join(', ')
  const explain = `explain (analyze, buffers, format json) execute ${name}(${list})`
  const { rows } = await client.query<{ 'QUERY PLAN': { Plan: Plan }[] }>(explain)
  const root = rows[0]?.['QUERY PLAN'][0]?.Plan
  if (!root) throw new Error('no plan')
  const nodes = nodesOf(root)
  const rowsOf = (relation: string): number =>
    nodes
      .filter((node) => node['Relation Name'] === relation)
      .reduce(
        (sum, node) => sum + (node['Actual Rows'] + (node['Rows Removed by Filter'] ?? 0)) * node['Actual Loops'],
        0,
      )
  return {
    scans: nodes.filter((node) => node['Relation Name']).map((node) => `${node['Node Type']} ${node['Relation Name']}`),
    messages: Math.round(rowsOf('messages')),
    conversations: Math.round(rowsOf('conversations')),
    blocks: root['Shared Hit Blocks'] + root['Shared Read Blocks'],
  }
}

function nodesOf(node: Plan): Plan[] {
  return [node, ...(node.Plans ?? []).flatMap(nodesOf)]
}
