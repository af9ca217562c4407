// The poem on its paper: top to bottom, right to left, at the pace of a brush.
import { find, make, t } from "./speech.js";
import { FORM_NAMES, FORMS } from "./words.js";

const BRUSH_MS = 85;
const HURRY_AFTER = 16;

export class Sheet {
  /** `redo(line)` is called when a line is to be written anew. */
  constructor(redo) {
    this.root = find("sheet");
    this.redo = redo;
    this.queue = [];
    this.cells = [];
    this.calm = matchMedia("(prefers-reduced-motion: reduce)");
  }

  /** Empty paper for a form. */
  begin(form, plain = false) {
    const [lines, places] = FORMS[form];
    this.#stop();
    this.form = form;
    this.cells = Array.from({ length: lines }, () => Array.from({ length: places }, () => make("span", { className: "char" }, make("b"))));
    this.columns = this.cells.map((cells) => make("li", { className: "line" }, make("span", { className: "text" }, ...cells)));
    this.root.style.setProperty("--lines", lines);
    this.root.style.setProperty("--places", places);
    this.root.classList.toggle("plain", plain);
    this.root.classList.remove("marked");
    this.title = make("div", { className: "title" }, FORM_NAMES[form]);
    this.signed = make("div", { className: "signed" });
    this.root.replaceChildren(this.title, make("ol", { className: "lines" }, ...this.columns), this.signed);
    this.root.hidden = false;
    find("awaits").hidden = true;
  }

  /** One character, when the brush comes to it. */
  put(line, position, text) {
    this.queue.push([line, position, text]);
    if (!this.timer) this.#next();
  }

  /** Wait until all that was put is written. */
  async dry() {
    while (this.timer || this.queue.length) await new Promise((resolve) => setTimeout(resolve, 30));
  }

  /** A whole poem at once. */
  show(lines, form) {
    this.begin(form, true);
    lines.forEach((line, number) => [...line].forEach((text, position) => this.#ink(number, position, text)));
  }

  /** Seal it, and offer to write each line anew. */
  sign(title) {
    this.title.textContent = title;
    this.signed.replaceChildren(make("span", { className: "stamp", ariaHidden: "true" }, "题画"));
    this.columns.forEach((column, line) => {
      const button = make("button", { type: "button", className: "redo", title: t("redoLine", { line: line + 1 }) }, t("redo"));
      button.setAttribute("aria-label", t("redoLine", { line: line + 1 }));
      button.addEventListener("click", () => this.redo(line));
      column.querySelector(".redo")?.remove();
      column.append(button);
    });
  }

  get lines() {
    return this.cells.map((cells) => cells.map((cell) => cell.querySelector("b").textContent).join(""));
  }

  fade(line) {
    this.root.classList.remove("plain");
    this.columns[line].classList.add("fading");
  }

  unfade() {
    for (const column of this.columns ?? []) column.classList.remove("fading");
  }

  allowRedo(allowed) {
    for (const button of this.root.querySelectorAll(".redo")) button.disabled = !allowed;
  }

  /** Tone marks of the checker under every character; null takes them away. */
  mark(check) {
    this.root.classList.toggle("marked", Boolean(check));
    for (const cell of this.cells.flat()) {
      cell.querySelector(".mark")?.remove();
      cell.classList.remove("faulty", "rescued", "named");
    }
    check?.lines.forEach((line, number) => line.characters.forEach((character, position) => {
      const cell = this.cells[number]?.[position];
      if (!cell) return;
      const tone = character.tone || "unknown";
      const rhyme = line.rhymed && position === line.characters.length - 1;
      const said = [t(tone), rhyme && t("rhyme"), character.verdict === "faulty" && t("faulty")].filter(Boolean).join(" ");
      const mark = make("span", { className: `mark ${tone}${rhyme ? " rhyme" : ""}` });
      mark.setAttribute("role", "img");
      mark.setAttribute("aria-label", said);
      cell.title = [said, ...character.readings.map((reading) => `${t(reading.tone || "unknown")} ${reading.rhyme_group}`)].join(" · ");
      if (["faulty", "rescued"].includes(character.verdict)) cell.classList.add(character.verdict);
      cell.append(mark);
    }));
  }

  /** Point at characters. */
  name(line, positions) {
    for (const cell of this.cells.flat()) cell.classList.remove("named");
    for (const position of positions) this.cells[line]?.[position]?.classList.add("named");
  }

  #next() {
    const stroke = this.queue.shift();
    if (!stroke) {
      this.timer = null;
      return;
    }
    this.#ink(...stroke);
    const pace = this.calm.matches || document.hidden ? 0 : this.queue.length > HURRY_AFTER * 2 ? BRUSH_MS / 2 : BRUSH_MS;
    this.timer = setTimeout(() => this.#next(), pace);
  }

  #ink(line, position, text) {
    const cell = this.cells[line]?.[position];
    if (!cell) return;
    this.columns[line].classList.remove("fading");
    cell.replaceChildren(make("b", {}, text));
  }

  #stop() {
    clearTimeout(this.timer);
    this.timer = null;
    this.queue = [];
  }
}
