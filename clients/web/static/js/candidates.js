// Several poems side by side, each with its scores.
import { find, make, t } from "./speech.js";

export class Candidates {
  /** `choose(number)` is called when the user prefers one. */
  constructor(choose) {
    this.root = find("candidates");
    this.choose = choose;
  }

  begin(count, lines, places) {
    this.root.style.setProperty("--places", places);
    this.root.hidden = count < 2;
    this.cards = Array.from({ length: count }, (_, number) => this.#card(number, lines));
    this.root.replaceChildren(...this.cards.map((card) => card.button));
  }

  put(candidate, line, text) {
    const column = this.cards[candidate]?.columns[line];
    if (column) column.textContent += text;
  }

  /** Scores, and which one is the best. */
  finish(finished) {
    finished.candidates.forEach((candidate, number) => {
      const { button, figures } = this.cards[number];
      const best = number === finished.best_candidate;
      const rows = [
        `${t("score")} ${candidate.score.toFixed(2)}`,
        `${t("similarity")} ${candidate.similarity.toFixed(2)} · ${t("fluency")} ${candidate.mean_log_probability.toFixed(2)}`,
      ];
      figures.replaceChildren(...(best ? [make("span", { className: "best" }, t("best")), make("br")] : []), ...rows.flatMap((row) => [row, make("br")]));
      button.disabled = false;
    });
    this.select(finished.best_candidate);
  }

  select(number) {
    this.cards?.forEach(({ button }, place) => button.setAttribute("aria-pressed", String(place === number)));
  }

  /** A line of one of them was written anew. */
  replace(number, lines) {
    this.cards?.[number]?.columns.forEach((column, line) => { column.textContent = lines[line]; });
  }

  #card(number, lines) {
    const columns = Array.from({ length: lines }, () => make("span", {}));
    const figures = make("span", { className: "figures" });
    const button = make("button", { type: "button", className: "candidate", disabled: true },
      make("span", { className: "small-poem", lang: "zh-Hans" }, ...columns), figures);
    button.setAttribute("aria-pressed", "false");
    button.addEventListener("click", () => this.choose(number));
    return { button, columns, figures };
  }
}
