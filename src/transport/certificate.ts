import { X509Certificate } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { stat } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { reasonOf } from '../lib/errors.ts'

/** PEM files. */
export interface CertificateFiles {
  /** The server's certificate and those that vouch for it. */
  readonly certFile: string
  readonly keyFile: string
}

export interface Certificate {
  /** What the files hold. */
  readonly cert: string
  readonly key: string
  /** Host names and addresses, as `DNS:example.com, IP Address:192.0.2.1`. */
  readonly names: string
  readonly validFrom: Date
  readonly validTo: Date
}

/** Throws an error that names the files when they are not a certificate chain and its private key. */
export function readCertificate({ certFile, keyFile }: CertificateFiles): Certificate {
  try {
    const cert = readFileSync(certFile, 'utf8')
    const key = readFileSync(keyFile, 'utf8')
    createSecureContext({ cert, key })
    const { subject, subjectAltName, validFrom, validTo } = new X509Certificate(cert)
    return { cert, key, names: subjectAltName ?? subject, validFrom: new Date(validFrom), validTo: new Date(validTo) }
  } catch (error) {
    const files = `TLS_CERT_FILE (${certFile}) and TLS_KEY_FILE (${keyFile})`
    throw new Error(`${files} are not a PEM certificate chain and its private key: ${reasonOf(error)}`, {
      cause: error,
    })
  }
}

/** Whether both hold the same bytes. */
export function isSameCertificate(a: Certificate, b: Certificate): boolean {
  return a.cert === b.cert && a.key === b.key
}

const LOOK_INTERVAL_MS = 1_000

/**
 * Calls back when the files have changed and then stayed the same from one look to the next, a second later: two files are
 * written one after the other. Asks for their state again and again, because they may be links that are set to another
 * directory as a whole (certbot, Kubernetes), which notifications of the system do not follow. Returns how to end it.
 */
export function watchCertificate(files: CertificateFiles, changed: () => void): () => void {
  let known: string | undefined
  let lastSeen: string | undefined
  const look = async (): Promise<void> => {
    const seen = await stateOf(files)
    if (seen === undefined) return
    known ??= seen
    if (seen !== known && seen === lastSeen) {
      known = seen
      changed()
    }
    lastSeen = seen
  }
  const timer = setInterval(() => void look(), LOOK_INTERVAL_MS)
  timer.unref()
  void look()
  return () => clearInterval(timer)
}

/** Undefined while one of them is missing, as between removing and writing it. */
async function stateOf({ certFile, keyFile }: CertificateFiles): Promise<string | undefined> {
  try {
    const states = await Promise.all([stat(certFile), stat(keyFile)])
    return states.map(({ ino, mtimeMs, size }) => `${ino} ${mtimeMs} ${size}`).join()
  } catch {
    return undefined
  }
}
