// Taking a poem away: as text, as a link, as a picture.
import { card } from "./api.js";
import { language, t } from "./speech.js";
import { BOOKS, FORM_NAMES } from "./words.js";

const ENGLISH = {
  wujue: "A quatrain of five-character lines", qijue: "A quatrain of seven-character lines",
  wulv: "Regulated verse in five-character lines", qilv: "Regulated verse in seven-character lines",
};

export const punctuated = (lines) => lines.map((line, number) => line + (number % 2 ? "。" : "，")).join("\n");

/** Everything after #: settings, seed, keywords, the poem itself. It never reaches a server's log. */
export function toHash({ settings, keywords, example, poem }) {
  const values = { ...settings };
  if (example) values.example = example;
  if (keywords.length) values.keywords = keywords.join(".");
  if (poem?.length) values.poem = poem.join(".");
  return `#${new URLSearchParams(values)}`;
}

/** The same back; words and lines that could not have come from here are left out. */
export function fromHash(hash) {
  const { keywords = "", poem = "", example = "", ...settings } = Object.fromEntries(new URLSearchParams(hash.slice(1)));
  const han = (text, most) => text.split(".").filter((word) => /^\p{Script=Han}+$/u.test(word) && [...word].length <= most);
  return { settings, example, keywords: han(keywords, 8).slice(0, 16), poem: han(poem, 7).slice(0, 8) };
}

/** Form and rhyme, as they head a poem. */
export function headings(finished, tongue = language()) {
  const kept = finished.conformity;
  const rhymed = kept?.conforms && kept.rhyme_group;
  const book = BOOKS[kept?.rhyme_book] ?? "";
  if (tongue === "zh") return [FORM_NAMES[finished.form], rhymed ? `${book}　${kept.rhyme_group}` : ""];
  return [ENGLISH[finished.form], rhymed ? `rhyme ${kept.rhyme_group} of ${book}` : ""];
}

/** Save the card, which the server composes, so that page and command line have one layout. */
export async function saveCard(finished, poem, keywords, picture) {
  const [title, subtitle] = headings(finished);
  const blob = await card({ poem, title, subtitle, keywords, language: language() }, picture);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${poem[0]}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Text to the clipboard; false where the browser does not allow it. */
export async function copied(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}
