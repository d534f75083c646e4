/** A host as URLs name it. Only IPv6 has a colon; Node's own look for it takes 15 ms the first time, which each start would pay. */
export const urlHost = (host: string): string => (host.includes(':') ? `[${host}]` : host)
