import { createRequire } from 'node:module'
import { reasonOf } from '../lib/errors.ts'

export type { HttpRequest, HttpResponse, TemplatedApp, us_listen_socket, WebSocket } from 'uWebSockets.js'

type Uws = typeof import('uWebSockets.js')

/** Loads the native module, or says in plain words why this platform has none. */
export function loadUws(): Uws {
  try {
    return createRequire(import.meta.url)('uWebSockets.js')
  } catch (error) {
    const { platform, arch, versions } = process
    throw new Error(
      `uWebSockets.js has no binary for ${platform}-${arch} with Node ${versions.node} (ABI ${versions.modules}). ` +
        'On Linux, Node 20 needs glibc 2.27 or newer, Node 22 and 24 need glibc 2.38 (Debian 13, Ubuntu 24.04); ' +
        `Alpine (musl) is not supported. ${reasonOf(error)}`,
      { cause: error },
    )
  }
}
