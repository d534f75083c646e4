'use client'

import {
  createContext,
  createElement,
  type ReactElement,
  type ReactNode,
  useCallback,
  useContext,
  useReducer,
  useSyncExternalStore,
} from 'react'
import type { UserId } from '../protocol/message.ts'
import type { Client } from './index.ts'
import { rowsById } from './row-index.ts'
import type { Store } from './stores.ts'
import type { ConversationItem, MessageItem, Presence, Status, User } from './types.ts'

const ClientContext = /* @__PURE__ */ createContext<Client | undefined>(undefined)

/**
 * Gives a client to the hooks below it. No hook makes a client or opens a connection, so effects that run twice (StrictMode)
 * do no harm: make the client outside of components, and close it when the user leaves.
 */
export function ClientProvider({ client, children }: { client: Client; children?: ReactNode }): ReactElement {
  return createElement(ClientContext.Provider, { value: client }, children)
}

/** The client of the nearest `ClientProvider`; throws where there is none. */
export function useClient(): Client {
  const client = useContext(ClientContext)
  if (!client) throw new Error('There is no <ClientProvider> around this component.')
  return client
}

/** The present value of any store of the client, such as `client.pending`; renders again when it has changed. */
export function useStore<T>(store: Store<T>): T {
  return useSyncExternalStore(store.subscribe, store.get, store.get)
}

export function useStatus(): Status {
  return useStore(useClient().status)
}

/** Newest first. */
export function useConversations(): readonly ConversationItem[] {
  return useStore(useClient().conversations)
}

/**
 * The rows of a conversation, in the order to show them. A row is the same object until something of it changes: a list whose
 * rows are components under `memo` renders only those that did.
 */
export function useMessages(other: UserId): readonly MessageItem[] {
  return useStore(useClient().conversation(other).messages)
}

/** One row of a conversation; `undefined` when it is not among those shown. Renders again only when this row has changed. */
export function useMessage(other: UserId, id: string): MessageItem | undefined {
  const { messages } = useClient().conversation(other)
  const row = (): MessageItem | undefined => rowsById(messages.get()).get(id)
  return useSyncExternalStore(messages.subscribe, row, row)
}

/** Watches whether somebody is there, as long as a component asks. */
export function usePresence(id: UserId): Presence {
  return useStore(useClient().presence(id))
}

/** What is known of a user, who is asked for when a component first needs them. */
export function useUser(id: UserId): User | undefined {
  return useStore(useClient().user(id))
}

/** Whether the other person is typing. */
export function useTyping(other: UserId): boolean {
  return useStore(useClient().conversation(other).isTyping)
}

/** The text that is not sent yet, and what changes it: for a controlled input. */
export function useDraft(other: UserId): readonly [text: string, setText: (text: string) => void] {
  const { draft } = useClient().conversation(other)
  // A store tells of changes in the next turn. Until then React would put the old text back, and the caret to the end.
  const [, render] = useReducer((count: number) => count + 1, 0)
  const setText = useCallback(
    (text: string) => {
      draft.set(text)
      render()
    },
    [draft],
  )
  return [useStore(draft), setText]
}
