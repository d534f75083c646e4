/** What notifications say, in the languages that they speak; everybody else reads English. */
interface Texts {
  /** Where the sender is not to be told. */
  readonly unnamed: string
  readonly one: string
  many(count: string): string
  readonly test: string
  readonly stillThere: string
}

const ENGLISH: Texts = {
  unnamed: 'New message',
  one: 'New message',
  many: (count) => `${count} new messages`,
  test: 'Notifications work on this device.',
  stillThere: 'Open the chat to keep getting notifications on this device.',
}

const TEXTS: Readonly<Record<string, Texts>> = {
  en: ENGLISH,
  de: {
    unnamed: 'Neue Nachricht',
    one: 'Neue Nachricht',
    many: (count) => `${count} neue Nachrichten`,
    test: 'Benachrichtigungen kommen auf diesem Gerät an.',
    stillThere: 'Öffne den Chat, damit auf diesem Gerät weiter Benachrichtigungen ankommen.',
  },
  fr: {
    unnamed: 'Nouveau message',
    one: 'Nouveau message',
    many: (count) => `${count} nouveaux messages`,
    test: 'Les notifications arrivent sur cet appareil.',
    stillThere: 'Ouvrez la messagerie pour continuer à recevoir des notifications sur cet appareil.',
  },
  es: {
    unnamed: 'Mensaje nuevo',
    one: 'Mensaje nuevo',
    many: (count) => `${count} mensajes nuevos`,
    test: 'Las notificaciones llegan a este dispositivo.',
    stillThere: 'Abre el chat para seguir recibiendo notificaciones en este dispositivo.',
  },
}

/** Counted up to here; from here on there are more. */
const MANY = 100

/** The texts of a language tag such as `de-CH`. */
export function textsOf(locale: string | undefined): Texts {
  const language = locale?.split('-')[0]?.toLowerCase() ?? ''
  return (Object.hasOwn(TEXTS, language) ? TEXTS[language] : undefined) ?? ENGLISH
}

/** How many messages there are, in words. */
export function countText(count: number, texts: Texts): string {
  if (count <= 1) return texts.one
  return texts.many(count >= MANY ? `${MANY - 1}+` : String(count))
}
