// The desk: what is being written, and how it comes onto the paper.
import * as api from "./api.js";
import { Candidates } from "./candidates.js";
import { showCheck } from "./checked.js";
import { clearNotice, patiently, say, showFailure } from "./notices.js";
import { Seals } from "./seals.js";
import { Settings } from "./settings.js";
import { headings, toHash } from "./share.js";
import { Sheet } from "./sheet.js";
import { find, language, t } from "./speech.js";
import { FORMS } from "./words.js";

const MOST_BYTES = 6 * 2 ** 20;
const MOST_WORDS = 16;

export const page = {
  picture: null, pictureName: "", example: "",
  // Whether the words are the picture's own, so that the picture itself says what the poem is about.
  fromPicture: false,
  finished: null, chosen: 0, poem: [], check: null, writing: null, mostBytes: MOST_BYTES,
};
export const settings = new Settings();
export const seals = new Seals(() => { page.fromPicture = false; page.example = ""; offerWriting(); });
export const sheet = new Sheet((line) => write({ line }));
export const candidates = new Candidates(chooseCandidate);

export function offerWriting() {
  find("write").disabled = !page.picture && !seals.kept.length;
  find("write").textContent = t(page.finished ? "again" : "write");
}

/** What the poem is about: the picture, or the words where the user changed them. */
function source() {
  if (page.fromPicture && page.picture) return [{}, page.picture];
  if (!seals.kept.length) throw new api.Failure("NO_WORDS");
  return [{ keywords: seals.kept.slice(0, MOST_WORDS) }, null];
}

/** Write a poem, or one line of it anew. */
export async function write({ line = null } = {}) {
  page.writing?.abort();
  const control = (page.writing = new AbortController());
  clearNotice();
  setBusy(true);
  try {
    const [about, picture] = source();
    const wish = { ...settings.wish(), ...about, ...(line === null ? {} : keepingOthers(line)) };
    await patiently(() => writeOnce(wish, picture, control, line));
  } catch (failure) {
    if (failure.name !== "AbortError" && !control.signal.aborted) {
      say("");
      if (line !== null) await restore();
      showFailure(failure, failure.reason === "NO_WORDS" ? null : () => write({ line }));
    }
  } finally {
    if (page.writing === control) {
      page.writing = null;
      setBusy(false);
      sheet.unfade();
    }
  }
}

/** The poem as it was before a line of it was begun anew. */
async function restore() {
  sheet.show(page.poem, page.finished.form);
  await settle();
}

/** The wish that leaves all lines but one as they are, and keeps the poem's pattern and rhyme. */
function keepingOthers(line) {
  const kept = page.finished?.conformity;
  const others = page.poem.map((text, number) => [number, 0, text]).filter(([number]) => number !== line);
  const rules = kept?.conforms ? { pattern: kept.pattern, rhyme_group: kept.rhyme_group } : {};
  const form = page.finished?.form ?? settings.wish().form;
  return { candidates: 1, form, fixed_texts: others, seed: undefined, ...(settings.wish().regulated === false ? {} : rules) };
}

async function writeOnce(wish, picture, control, line) {
  let begun = false;
  const form = wish.form;
  if (line !== null) sheet.fade(line);
  try {
    for await (const event of api.compose(wish, picture, control.signal)) {
      if (control.signal.aborted) return;
      if (event.kind === "retrieved" && page.fromPicture) seals.show(event.keywords);
      if (event.kind === "retrieved" && line === null) {
        begun = true;
        forgetPoem();
        sheet.begin(form);
        find("leaf").scrollIntoView({ block: "nearest" });
        candidates.begin(wish.candidates, ...FORMS[form]);
        say(t("writing"));
      }
      if (event.kind === "token") {
        if (line === null) candidates.put(event.candidate, event.line, event.text);
        if (event.candidate === 0 && (line === null || event.line === line)) sheet.put(event.line, event.position, event.text);
      }
      if (event.kind === "finished") await finish(event, line, control);
    }
  } catch (failure) {
    failure.begun = begun;
    throw failure;
  }
}

async function finish(finished, line, control) {
  await sheet.dry();
  if (control.signal.aborted) return;
  const number = line === null ? finished.best_candidate : page.chosen;
  page.poem = [...finished.poem];
  page.chosen = number;
  if (line === null) {
    page.finished = finished;
    candidates.finish(finished);
    if (number) sheet.show(page.poem, finished.form);
  } else {
    page.finished = { ...page.finished, conformity: finished.conformity, copied_lines: finished.copied_lines, timings: finished.timings };
    candidates.replace(number, page.poem);
  }
  await settle();
  say(t("written", { poem: page.poem.join("，") }));
}

/** All that belongs to a poem that is whole. */
export async function settle() {
  page.check = null;
  sheet.sign(headings(page.finished, "zh").filter(Boolean).join("　"));
  find("tools").hidden = false;
  tellMeta();
  history.replaceState(null, "", currentHash());
  await showMarks();
  offerWriting();
}

export function tellMeta() {
  const { poet, seed, timings, copied_lines: copies } = page.finished;
  const heading = language() === "en" && headings(page.finished).filter(Boolean).join(", ");
  const parts = [poet, seed !== undefined && `${t("seed")} ${seed}`, timings && t("seconds", { seconds: (timings.total_ms / 1000).toFixed(2) })];
  const quoted = (copies ?? []).map((copy) => t("copiedLine", { line: copy.line + 1, author: copy.author || t("nobody"), title: copy.title }));
  find("meta").textContent = [heading, parts.filter(Boolean).join(" · "), ...quoted].filter(Boolean).join("\n");
}

function chooseCandidate(number) {
  if (!page.finished || page.writing) return;
  const candidate = page.finished.candidates[number];
  page.chosen = number;
  page.poem = [...candidate.lines];
  page.finished = { ...page.finished, conformity: candidate.conformity, copied_lines: candidate.copied_lines };
  candidates.select(number);
  sheet.show(page.poem, page.finished.form);
  settle();
}

function forgetPoem() {
  Object.assign(page, { finished: null, poem: [], check: null, chosen: 0 });
  find("tools").hidden = true;
  find("meta").textContent = "";
  find("candidates").hidden = true;
  showCheck(null);
}

export async function showMarks() {
  const wanted = find("marks").getAttribute("aria-pressed") === "true";
  if (!wanted || !page.poem.length) {
    sheet.mark(null);
    showCheck(null);
    return;
  }
  try {
    page.check ??= await api.check(page.poem.join("\n"), settings.wish().rhyme_book);
    sheet.mark(page.check);
    showCheck(page.check, (at, positions) => sheet.name(at, positions));
  } catch (failure) {
    showFailure(failure, showMarks);
  }
}

export function currentHash() {
  const values = { ...settings.values() };
  if (page.finished?.seed !== undefined) values.seed = String(page.finished.seed);
  return toHash({ settings: values, keywords: seals.kept, example: page.example, poem: page.poem });
}

function setBusy(busy) {
  find("leaf").setAttribute("aria-busy", String(busy));
  find("stop").hidden = !busy;
  find("write").hidden = busy;
  sheet.allowRedo(!busy);
  offerWriting();
}
