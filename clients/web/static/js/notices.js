// What the page tells its reader: kindly, in the reader's language.
import { Failure } from "./api.js";
import { find, make, t } from "./speech.js";
import { WORDS } from "./words.js";

const BUSY = new Set(["OVERLOADED", "NOT_READY", "TOO_OFTEN"]);
const MOST_WAITS = 6;
const SHORTEST_WAIT = 1;
// Where the server's own words say more: which field, which rule.
const TELLING = new Set(["IMPOSSIBLE_RULES", "INVALID_OPTION", "PROMPT_TOO_LONG"]);

export const say = (text) => { find("status").textContent = text; };

export function clearNotice() {
  find("notice").hidden = true;
}

/** Show a failure, with a way to try again where that may help. */
export function showFailure(failure, tryAgain = null) {
  const reason = failure instanceof Failure ? failure.reason : "INTERNAL";
  if (!(failure instanceof Failure)) console.error(failure);
  const key = `e_${reason}` in WORDS.zh ? `e_${reason}` : "e_INTERNAL";
  const parts = [make("p", {}, t(key))];
  if (tryAgain) parts.push(button(t("tryAgain"), tryAgain));
  if (TELLING.has(reason)) parts.push(make("p", { className: "detail", lang: "en" }, failure.message));
  notice(...parts);
}

/** Run `work`; while all are busy, count down and run it again. Resolves false where the user gave up. */
export async function patiently(work) {
  for (let waits = 0; ; waits += 1) {
    try {
      await work();
      return true;
    } catch (failure) {
      if (!BUSY.has(failure.reason) || failure.begun || waits >= MOST_WAITS) throw failure;
      if (!await countedDown(Math.max(SHORTEST_WAIT, Math.ceil(failure.retryAfter ?? 2)))) return false;
    }
  }
}

async function countedDown(seconds) {
  let waiting = true;
  const words = make("p", {}, "");
  const stop = button(t("waitEnd"), () => { waiting = false; });
  notice(words, stop);
  for (let left = seconds; left > 0 && waiting; left -= 0.1) {
    const text = t("again_in", { seconds: Math.ceil(left) });
    if (words.textContent !== text) words.textContent = text;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  clearNotice();
  return waiting;
}

function notice(...parts) {
  find("notice").replaceChildren(...parts);
  find("notice").hidden = false;
}

function button(text, act) {
  const made = make("button", { type: "button" }, text);
  made.addEventListener("click", () => { clearNotice(); act(); });
  return made;
}
