// Keywords as seals: struck out, added, put in another order.
import { find, make, t } from "./speech.js";

const HAN = /^\p{Script=Han}{1,8}$/u;
const DRAG_PIXELS = 8;

export class Seals {
  /** `changed()` is called when the user changes what the next poem is about. */
  constructor(changed) {
    this.list = find("seals");
    this.words = [];
    this.changed = changed;
    this.list.addEventListener("keydown", (event) => this.#key(event));
    this.list.addEventListener("pointerdown", (event) => this.#grab(event));
  }

  /** As they were looked up: [{text, score}]. */
  show(words) {
    this.words = words.map((word) => ({ ...word, struck: false, added: false }));
    this.render();
  }

  /** False where it is no word. One that stands there already is put in front and restored. */
  add(text) {
    if (!HAN.test(text)) return false;
    this.words = this.words.filter((word) => word.text !== text);
    this.words.unshift({ text, score: 0, struck: false, added: true });
    this.#done();
    return true;
  }

  get kept() {
    return this.words.filter((word) => !word.struck).map((word) => word.text);
  }

  render(focused = null) {
    if (!this.words.length) {
      this.list.replaceChildren(make("li", { className: "small" }, t("noWords")));
      return;
    }
    this.list.replaceChildren(...this.words.map((word, place) => this.#seal(word, place)));
    if (focused) this.#item(focused)?.querySelector("button").focus();
  }

  #seal(word, place) {
    const score = word.score ? word.score.toFixed(2) : "";
    const label = t(score ? "seal" : "sealAdded", { word: word.text, score });
    const button = make("button", { type: "button", lang: "zh-Hans" }, word.text);
    button.setAttribute("aria-label", word.struck ? `${label}, ${t("struck")}` : label);
    button.setAttribute("aria-pressed", String(!word.struck));
    button.addEventListener("click", () => this.#strike(word));
    const item = make("li", {}, button, make("span", { className: "score", ariaHidden: "true" }, score));
    item.className = [word.struck && "struck", word.added && "added"].filter(Boolean).join(" ");
    item.dataset.place = place;
    return item;
  }

  #strike(word) {
    if (this.dragged) return;
    word.struck = !word.struck;
    this.#done(word);
  }

  #key(event) {
    const step = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1 }[event.key];
    const item = event.target.closest("li[data-place]");
    if (!step || !event.altKey || !item) return;
    event.preventDefault();
    const place = Number(item.dataset.place);
    this.#move(this.words[place], place + step);
  }

  #grab(event) {
    const item = event.target.closest("li[data-place]");
    this.dragged = false;
    if (!item || event.button) return;
    const word = this.words[item.dataset.place];
    const over = (move) => {
      if (!this.dragged && Math.hypot(move.x - event.x, move.y - event.y) < DRAG_PIXELS) return;
      this.dragged = true;
      const target = document.elementFromPoint(move.x, move.y)?.closest("#seals li[data-place]");
      if (target && this.words[target.dataset.place] !== word) this.#move(word, Number(target.dataset.place));
      this.#item(word)?.classList.add("held");
    };
    const drop = () => {
      removeEventListener("pointermove", over);
      this.#item(word)?.classList.remove("held");
    };
    addEventListener("pointermove", over);
    for (const end of ["pointerup", "pointercancel"]) addEventListener(end, drop, { once: true });
  }

  #move(word, place) {
    if (place < 0 || place >= this.words.length) return;
    this.words.splice(this.words.indexOf(word), 1);
    this.words.splice(place, 0, word);
    this.#done(word);
  }

  #item(word) {
    return this.list.children[this.words.indexOf(word)];
  }

  #done(focused = null) {
    this.render(focused);
    this.changed();
  }
}
