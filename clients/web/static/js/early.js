// Before the first paint: the theme and the language that were chosen last, or the browser's.
{
  const stored = (name) => { try { return localStorage.getItem(name); } catch { return null; } };
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const chinese = navigator.language.toLowerCase().startsWith("zh");
  document.documentElement.dataset.theme = stored("theme") ?? (dark ? "dark" : "light");
  document.documentElement.lang = stored("lang") ?? (chinese ? "zh-Hans" : "en");
}
