import { WebSocket } from 'ws'

/** What happens to a connection of the class below: asked for each frame, in either direction. */
export interface WsFaults {
  /** The connection ends in place of this frame from the server. */
  cutsBefore?: (frame: string) => boolean
  /** This frame from the server never arrives, and the connection stays. */
  swallows?: (frame: string) => boolean
  /** The connection ends right after this frame was written. */
  cutsAfterWrite?: (frame: string) => boolean
}

/** A class of WebSockets whose links break where a test says so, without a close frame. */
export function faultySockets(faults: WsFaults): typeof WebSocket {
  return class extends WebSocket {
    override emit(event: string | symbol, ...args: unknown[]): boolean {
      if (event === 'message' && faults.cutsBefore?.(String(args[0]))) {
        this.terminate()
        return true
      }
      if (event === 'message' && faults.swallows?.(String(args[0]))) return true
      return super.emit(event, ...args)
    }

    override send(...args: unknown[]): void {
      super.send(...(args as [string]))
      if (faults.cutsAfterWrite?.(String(args[0]))) this.terminate()
    }
  } as typeof WebSocket
}
