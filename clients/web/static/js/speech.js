// Which language the page speaks, and small ways to make elements.
import { WORDS } from "./words.js";

export const language = () => (document.documentElement.lang.startsWith("zh") ? "zh" : "en");

export function t(key, values = {}) {
  const text = WORDS[language()][key] ?? key;
  return text.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

/** Put the words of the language into every element that names one. */
export function speak(root = document) {
  for (const at of root.querySelectorAll("[data-t]")) at.textContent = t(at.dataset.t);
  for (const at of root.querySelectorAll("[data-t-label]")) at.setAttribute("aria-label", t(at.dataset.tLabel));
  for (const at of root.querySelectorAll("[data-t-placeholder]")) at.placeholder = t(at.dataset.tPlaceholder);
  document.title = t("title");
}

export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export const find = (id) => document.getElementById(id);

export function remember(name, value) {
  try { localStorage.setItem(name, value); } catch { /* A browser that keeps nothing forgets. */ }
}
