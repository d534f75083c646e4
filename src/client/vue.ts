import {
  computed,
  type InjectionKey,
  inject,
  type MaybeRefOrGetter,
  onScopeDispose,
  type ShallowRef,
  shallowRef,
  toValue,
  type WritableComputedRef,
  watch,
} from 'vue'
import type { UserId } from '../protocol/message.ts'
import type { Client } from './index.ts'
import { rowsById } from './row-index.ts'
import type { Store } from './stores.ts'
import type { ConversationItem, MessageItem, Presence, Status, User } from './types.ts'

/**
 * Gives a client to the composables: `app.provide(clientKey, client)`. No composable makes a client or opens a connection:
 * make it outside of components, and close it when the user leaves.
 */
export const clientKey: InjectionKey<Client> = /* @__PURE__ */ Symbol('client')

type Value<T> = Readonly<ShallowRef<T>>

/** The client that was provided; throws where there is none. */
export function useClient(): Client {
  const client = inject(clientKey, undefined)
  if (!client) throw new Error('No client is provided: app.provide(clientKey, client).')
  return client
}

/** The present value of any store of the client, such as `client.pending`, until the scope ends. */
export function useStore<T>(store: MaybeRefOrGetter<Store<T>>): Value<T> {
  const value = shallowRef<T>(toValue(store).get()) as ShallowRef<T>
  let end = (): void => undefined
  const follow = (present: Store<T>): void => {
    end()
    const read = (): void => {
      value.value = present.get()
    }
    end = present.subscribe(read)
    read()
  }
  watch(() => toValue(store), follow, { immediate: true, flush: 'sync' })
  onScopeDispose(() => end())
  return value
}

export function useStatus(): Value<Status> {
  return useStore(useClient().status)
}

/** Newest first. */
export function useConversations(): Value<readonly ConversationItem[]> {
  return useStore(useClient().conversations)
}

/**
 * The rows of a conversation, in the order to show them. A row is the same object until something of it changes: a list whose
 * rows are components renders only those that did.
 */
export function useMessages(other: MaybeRefOrGetter<UserId>): Value<readonly MessageItem[]> {
  const client = useClient()
  return useStore(() => client.conversation(toValue(other)).messages)
}

/** One row of a conversation; `undefined` when it is not among those shown. */
export function useMessage(
  other: MaybeRefOrGetter<UserId>,
  id: MaybeRefOrGetter<string>,
): Readonly<{ value: MessageItem | undefined }> {
  const rows = useMessages(other)
  return computed(() => rowsById(rows.value).get(toValue(id)))
}

/** Watches whether somebody is there, until the scope ends. */
export function usePresence(id: MaybeRefOrGetter<UserId>): Value<Presence> {
  const client = useClient()
  return useStore(() => client.presence(toValue(id)))
}

/** What is known of a user, who is asked for when a component first needs them. */
export function useUser(id: MaybeRefOrGetter<UserId>): Value<User | undefined> {
  const client = useClient()
  return useStore(() => client.user(toValue(id)))
}

/** Whether the other person is typing. */
export function useTyping(other: MaybeRefOrGetter<UserId>): Value<boolean> {
  const client = useClient()
  return useStore(() => client.conversation(toValue(other)).isTyping)
}

/** The text that is not sent yet; write to it, as `v-model` does. */
export function useDraft(other: MaybeRefOrGetter<UserId>): WritableComputedRef<string> {
  const client = useClient()
  const draft = (): Store<string> & { set(text: string): void } => client.conversation(toValue(other)).draft
  const value = useStore(draft) as ShallowRef<string>
  return computed({
    get: () => value.value,
    set(text) {
      draft().set(text)
      // The store tells of it in the next turn.
      value.value = draft().get()
    },
  })
}
