/** Less is a bar of the browser, and no keyboard. */
const MIN_KEYBOARD_PX = 80

/** Where the keyboard of a phone covers the page, as on iOS, the page ends above it. Other browsers make the page smaller. */
export function endAboveKeyboard(): void {
  const { visualViewport: seen } = window
  seen?.addEventListener('resize', () => {
    // Whoever has zoomed in sees less as well.
    const coveredPx = seen.scale > 1 ? 0 : Math.round(innerHeight - seen.height)
    const isCovered = coveredPx >= MIN_KEYBOARD_PX
    document.documentElement.style.setProperty('--covered', isCovered ? `${coveredPx}px` : '0px')
    // The page was moved up to show the field, which is in sight by itself now.
    if (isCovered) scrollTo(0, 0)
  })
}
