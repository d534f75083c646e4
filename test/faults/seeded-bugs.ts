// Mistakes that this service could have, each as a change of the compiled text, and the scenario that must notice it. A place
// that is gone stops the run: the mistake then has to be made anew.
import type { Patch } from './build.ts'
import { LOOK } from './scenarios.ts'

export interface SeededBug {
  readonly name: string
  readonly patches: readonly Patch[]
  readonly scenario: string
}

const one = (file: string, search: string, replace: string): readonly Patch[] => [{ file, search, replace }]

export const SEEDED_BUGS: readonly SeededBug[] = [
  {
    name: 'ack before COMMIT',
    patches: one(
      'postgres/copy-transaction.js',
      'this.#commitSent = true;',
      'this.#commitSent = true; this.#resolve();',
    ),
    scenario: 'outage before COMMIT',
  },
  {
    name: 'publish before COMMIT',
    patches: [
      ...one('messages/writer.js', 'append(send) {', 'append(send) { this.#options.outcomes.early(send);'),
      ...one(
        'messages/outcomes.js',
        'settled(sends, positions) {',
        `early(send) {
        const { feed, heads, clock } = this.#options;
        const seq = heads.of(send.conversation) + 1;
        feed.message({ ...send, seq, created_at: new Date(clock.now()).toISOString() });
        feed.batchDone();
    }
    settled(sends, positions) {`,
      ),
    ],
    scenario: 'refused in an outage',
  },
  {
    name: 'a connection lost at COMMIT counts as a failure',
    patches: one(
      'postgres/copy-transaction.js',
      "return this.#commitSent ? 'unknown' : 'aborted';",
      "return 'aborted';",
    ),
    scenario: 'outage after COMMIT',
  },
  {
    name: 'a retry that does not look up, under a new id',
    patches: one(
      'messages/writer.js',
      `unknown = true;
                for (const send of open.sends)
                    send.wasUnknown = true;`,
      'for (const send of open.sends) send.id = crypto.randomUUID();',
    ),
    scenario: 'cuts around COMMIT',
  },
  {
    name: 'lock and look-up in one statement',
    patches: [
      ...one('messages/log.postgres.js', 'await session.query(sql.LOCK, [array(sorted.map(({ id }) => id))]);', '[];'),
      ...one(
        'messages/statements.postgres.js',
        'text: `select v.ord, m.seq, m.sender_id',
        `text: \`with held as materialized (select conversation_id from conversations
      where conversation_id = any($1::int8[]) order by conversation_id for no key update)
    select v.ord, m.seq, m.sender_id`,
      ),
      ...one(
        'messages/statements.postgres.js',
        'on m.conversation_id = v.conversation_id and m.id = v.id`',
        'on m.conversation_id = v.conversation_id and m.id = v.id cross join (select count(*) from held) h`',
      ),
    ],
    scenario: 'repeat while committing',
  },
  {
    name: 'numbers taken before the transaction, as from a sequence',
    patches: [
      ...one(
        'messages/log.postgres.js',
        'await session.copyTransaction({',
        `const early = await session.query(advances ? sql.NUMBER_AND_MOVE : sql.NUMBER, values);
        await session.copyTransaction({`,
      ),
      ...one(
        'messages/log.postgres.js',
        'first: advances ? sql.NUMBER_AND_MOVE : sql.NUMBER,\n            values,',
        "first: { name: 'nothing', text: 'select 1' },\n            values: [],",
      ),
      ...one(
        'messages/log.postgres.js',
        '(numbered) => numberAndWrite({ sorted, isLocked: !begin }, numbered, states, this.#heads)',
        '() => numberAndWrite({ sorted, isLocked: !begin }, early, states, this.#heads)',
      ),
    ],
    scenario: 'cuts around COMMIT',
  },
  {
    name: 'a dropped send (2) is ignored',
    patches: one('transport/websocket.js', 'if (result === DROPPED && ', 'if (false && '),
    scenario: 'unread answers',
  },
  {
    name: 'a push to a full socket is left out',
    patches: one('gateway/outbound.js', 'return this.dropped(message);', 'return;'),
    scenario: 'slow reader',
  },
  {
    name: "no healing after the subscriber's reconnect",
    patches: one(
      'redis/subscriptions.js',
      `for (const listener of this.#gapListeners)
            listener();`,
      '',
    ),
    scenario: 'gap of the subscriber',
  },
  {
    name: "healing by the subscriber's reconnect alone: failed publishes are not reported",
    patches: one('delivery/broker.redis.js', 'const owedGap = this.#owesGap;', 'const owedGap = false;'),
    scenario: 'gap of the publisher',
  },
  {
    name: "healing by the subscriber's reconnect alone: no polling while Redis is away",
    patches: one('delivery/healing.js', 'if (!isConnected())', 'if (false)'),
    scenario: 'Redis away',
  },
  {
    name: "healing by the subscriber's reconnect alone: a lost lease means nothing",
    patches: one('presence/registration.redis.js', 'if (isOneLost)', 'if (false)'),
    scenario: 'killed before telling',
  },
  {
    name: 'no look at the database while Redis is well',
    patches: LOOK,
    scenario: 'killed unknown to Redis',
  },
  {
    name: 'subscribing after the catch-up',
    patches: [
      ...one(
        'gateway/connection.js',
        'const joined = fanout.joined(this.userId);',
        'const joined = Promise.resolve();',
      ),
      ...one(
        'gateway/connection.js',
        'void this.#outbound?.catchUp(joined);',
        'void this.#outbound?.catchUp(joined).then(() => fanout.joined(this.userId));',
      ),
    ],
    scenario: 'committed while catching up',
  },
  {
    name: 'a database that was set back goes on as if nothing had happened',
    patches: [
      ...one('messages/known-heads.js', 'return !isBehind;', 'return true;'),
      ...one('messages/epoch.js', 'const because = this.#whyEnded(record, known);', 'const because = undefined;'),
    ],
    scenario: 'rewound database',
  },
  {
    name: 'numbers of the next epoch are committed before it has begun',
    patches: one('messages/known-heads.js', 'return !isBehind;', 'return true;'),
    scenario: 'rewound database',
  },
  {
    name: 'sockets stay open through a new epoch',
    patches: one('app.js', 'epoch.whenRenewed(() => shutdown.restart(connections));', ''),
    scenario: 'rewound database',
  },
  {
    name: 'presence without a lease',
    patches: one('presence/scripts.redis.js', "redis.call('ZRANGEBYSCORE', p .. 'instances', -now, '(' .. now)", '{}'),
    scenario: 'presence after a kill',
  },
  {
    name: 'an ack stored without greatest',
    patches: one(
      'messages/statements.postgres.js',
      // biome-ignore lint/suspicious/noTemplateCurlyInString: it is the text of a template.
      'return `${column} = greatest(',
      `if (moves) return \`\${column} = coalesce(nullif(v.\${who}_\${position}, 0), c.\${column})\`;
        return \`\${column} = greatest(`,
    ),
    scenario: 'lower ack',
  },
  {
    name: 'a drain that closes before it flushes',
    patches: one(
      'shutdown.js',
      'await writer.close(drainingMs);',
      `await close();
        await writer.close(drainingMs);`,
    ),
    scenario: 'drain under load',
  },
  {
    name: 'an empty page on a read error',
    patches: one('messages/reads.postgres.js', 'throw new StoreUnavailable(error);', 'return [];'),
    scenario: 'unreadable store',
  },
  {
    name: 'a send waits for as long as the outage lasts',
    patches: one('messages/writer.js', 'this.#expire(clock.now() - limits.maxQueueAgeMs);', ''),
    scenario: 'PostgreSQL stopped',
  },
  {
    name: "a lost idle connection is nobody's concern",
    patches: one('postgres/pool.js', "pool.on('error', (error) =>", "pool.on('lost', (error) =>"),
    scenario: 'PostgreSQL killed',
  },
  {
    name: 'sockets are closed when nothing can be stored',
    patches: one(
      'gateway/connection.js',
      'if (fault)\n            return this.refuse(',
      "if (fault?.code === 'unavailable') return this.close('overloaded');\n        if (fault)\n            return this.refuse(",
    ),
    scenario: 'PostgreSQL and Redis stopped',
  },
  {
    name: 'every attempt is given up at the time of its oldest send',
    patches: [
      ...one('messages/send-age.js', 'const RETRIED_SHARE = 0.75;', 'const RETRIED_SHARE = 1;'),
      ...one(
        'postgres/writer-connection.js',
        `if (this.#stopWaiting)
            this.#stopWaiting(new Error('given up while connecting'));
        else if (`,
        'if (',
      ),
    ],
    scenario: 'a distant PostgreSQL refused',
  },
  {
    name: 'a Redis that hangs counts as connected',
    patches: [...one('redis/subscriptions.js', 'if (this.#isOpen)\n                this.#ping();', ''), ...LOOK],
    scenario: 'Redis stopped',
  },
  {
    name: 'Redis is given up after a few attempts',
    patches: [
      ...one('redis/client.js', 'retryStrategy: (attempt) =>', 'retryStrategy: (attempt) => attempt > 4 ? null :'),
      ...one('redis/client.js', '    neverGiveUp(redis);', ''),
    ],
    scenario: 'Redis killed',
  },
  {
    name: 'what is left of a Redis that lost a key is believed',
    patches: one('presence/presence.redis.js', 'Number(lease) > 0 && mark !== null', 'Number(lease) > 0'),
    scenario: 'keys of Redis deleted',
  },
  {
    name: 'durations by a clock that somebody may set',
    patches: one('lib/clock.js', 'Math.floor(performance.timeOrigin + performance.now())', 'Date.now()'),
    scenario: 'wrong clocks',
  },
  {
    name: "an instance tells its own time, not the database's",
    patches: one('gateway/server-time.js', 'return isoTime(asOfMs);', 'return isoTime(this.#clock.now());'),
    scenario: 'wrong clocks',
  },
]
