/** The peers of `send`, those among them that are programs which the operator gives, and what the report says of these. */
import { centrifugoSubject, centrifugoVersion, isCentrifugo } from './centrifugo.ts'
import type { Settings } from './settings.ts'
import { peerSubject, type Subject } from './subjects.ts'
import { tinodeName, tinodeSubject, tinodeVersion } from './tinode.ts'

type Programs = Pick<Settings, 'centrifugo' | 'tinode'>

/** Whether this peer can be started: false when it needs a program that was not given. */
export function isThere(name: string, { centrifugo, tinode }: Programs): boolean {
  if (isCentrifugo(name)) return centrifugo !== undefined
  return name !== tinodeName || tinode !== undefined
}

/** A peer for so many people. */
export function subjectNamed(name: string, { centrifugo, tinode }: Programs, people: number): Subject {
  if (isCentrifugo(name) && centrifugo !== undefined) return centrifugoSubject(name, centrifugo)
  return name === tinodeName && tinode !== undefined ? tinodeSubject(tinode, people) : peerSubject(name)
}

/** A line for each program that was given: which one it is, and what it is measured doing. */
export function versionNotes({ centrifugo, tinode }: Programs): string[] {
  const notes: string[] = []
  if (centrifugo !== undefined) {
    const pushes =
      'it answers each publication and pushes it to both people: three frames a message, the others write two'
    notes.push(`Centrifugo ${centrifugoVersion(centrifugo)}; ${pushes}`)
  }
  if (tinode !== undefined) {
    const answers = 'it answers each publication and pushes it to the other person alone (noecho): two frames a message'
    notes.push(`Tinode ${tinodeVersion(tinode)}; ${answers}; a run in which it drops one is void`)
  }
  return notes
}

/** A line for each program that was not. */
export function leftOut({ centrifugo, tinode }: Programs): string[] {
  return Object.entries({ Centrifugo: centrifugo, Tinode: tinode })
    .filter(([, program]) => program === undefined)
    .map(([name]) => `${name} is left out: its program comes by --${name.toLowerCase()} PATH`)
}
