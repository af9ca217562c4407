// Pictures to begin with. NOTICE names who made them.
import { find, make, t } from "./speech.js";

export const EXAMPLES = ["pavilion", "flower"];

export function offerExamples(take) {
  find("examples").replaceChildren(...EXAMPLES.map((name) => {
    const image = make("img", { src: `/static/examples/${name}-small.webp`, alt: t(name), width: 84, height: 56 });
    const button = make("button", { type: "button" }, image);
    button.addEventListener("click", () => take(name));
    return make("li", {}, button);
  }));
}

export async function fetchExample(name) {
  return (await fetch(`/static/examples/${name}.webp`)).blob();
}
