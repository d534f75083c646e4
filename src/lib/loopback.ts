import { isIPv4 } from 'node:net'

/** Whether only this machine is meant: `localhost`, 127.0.0.0/8 or ::1, also as IPv4 within IPv6. */
export function isLoopback(host: string): boolean {
  const address = host.replace(/^::ffff:/i, '')
  return host === 'localhost' || host === '::1' || (isIPv4(address) && address.startsWith('127.'))
}
