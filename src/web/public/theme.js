// Before the first paint, so that a chosen theme does not flash: a file of its own, because nothing inline may run.
try {
  const theme = localStorage.getItem('theme')
  if (theme === 'light' || theme === 'dark') {
    document.documentElement.style.colorScheme = theme
    for (const meta of document.querySelectorAll('meta[data-theme]'))
      meta.setAttribute('media', meta.dataset.theme === theme ? 'all' : 'not all')
  }
} catch {
  // Storage may be forbidden; then the system's theme is shown.
}
