// The page: pictures and links come in, poems go out.
import * as api from "./api.js";
import { candidates, currentHash, offerWriting, page, seals, settings, settle, sheet, showMarks, tellMeta, write } from "./desk.js";
import { EXAMPLES, fetchExample, offerExamples } from "./examples.js";
import { clearNotice, patiently, say, showFailure } from "./notices.js";
import { showPicture, shrunk, watchForPictures } from "./picture.js";
import { copied, fromHash, headings, punctuated, saveCard } from "./share.js";
import { find, language, remember, speak, t } from "./speech.js";
import { FORMS } from "./words.js";

async function begin() {
  speak();
  seals.render();
  nameSwitches();
  offerExamples(takeExample);
  watchForPictures(takeFile);
  listen();
  await connect();
  await followAddress();
}

/** Ask what the server offers; the page is of use before it answers. */
async function connect() {
  try {
    await patiently(async () => {
      const info = await api.info();
      page.mostBytes = Math.min(info.max_upload_bytes, info.limits.max_message_bytes - 65536);
      settings.offer(info);
      const { settings: wished } = fromHash(location.hash);
      if (Object.keys(wished).length) settings.fill(wished);
    });
  } catch (failure) {
    if (!page.writing) showFailure(failure, connect);
  }
}

async function takeFile(file) {
  clearNotice();
  say(t("reading"));
  try {
    await takePicture(await shrunk(file, page.mostBytes), t("picked", { name: file.name }), "");
  } catch (failure) {
    say("");
    showFailure(failure);
  }
}

async function takeExample(name) {
  await takePicture(await fetchExample(name), t(name), name);
}

async function takePicture(blob, name, example) {
  Object.assign(page, { picture: blob, pictureName: name, example, fromPicture: true });
  showPicture(blob, name);
  seals.show([]);
  await write();
}

/** A link that was opened: its settings, its words, its poem. */
async function followAddress() {
  if (location.hash.length < 2) return;
  const { settings: wished, example, keywords, poem } = fromHash(location.hash);
  settings.fill(wished);
  const known = EXAMPLES.includes(example);
  if (known) {
    const blob = await fetchExample(example);
    Object.assign(page, { picture: blob, pictureName: t(example), example, fromPicture: true });
    showPicture(blob, t(example));
  } else {
    page.fromPicture = false;
  }
  seals.show(keywords.map((text) => ({ text, score: 0 })));
  const form = Object.keys(FORMS).find((name) => FORMS[name][0] === poem.length && poem.every((row) => [...row].length === FORMS[name][1]));
  offerWriting();
  if (form) {
    page.finished = { form, candidates: [], seed: wished.seed, conformity: null, poet: wished.poet };
    page.poem = poem;
    sheet.show(poem, form);
    await settle();
  } else if (known || keywords.length) {
    await write();
  }
}

function nameSwitches() {
  const chinese = language() === "zh";
  find("language").textContent = chinese ? "English" : "中文";
  find("language").lang = chinese ? "en" : "zh-Hans";
  find("theme").textContent = t(document.documentElement.dataset.theme === "dark" ? "light" : "dark");
}

function listen() {
  find("language").addEventListener("click", () => {
    document.documentElement.lang = language() === "zh" ? "en" : "zh-Hans";
    remember("lang", document.documentElement.lang);
    speak();
    offerExamples(takeExample);
    settings.offer();
    seals.render();
    if (page.finished && !page.writing) {
      tellMeta();
      sheet.sign(headings(page.finished, "zh").filter(Boolean).join("　"));
      if (page.finished.candidates.length > 1) {
        candidates.finish(page.finished);
        candidates.select(page.chosen);
      }
      showMarks();
    }
    nameSwitches();
    offerWriting();
  });
  find("theme").addEventListener("click", () => {
    const root = document.documentElement;
    root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
    remember("theme", root.dataset.theme);
    nameSwitches();
  });
  find("settings").addEventListener("submit", (event) => { event.preventDefault(); write(); });
  find("stop").addEventListener("click", () => { page.writing?.abort(); say(t("stopped")); });
  const add = () => {
    const word = find("word").value.trim();
    if (!word) return;
    if (seals.add(word)) find("word").value = "";
    else showFailure(new api.Failure("NOT_CHINESE"));
  };
  find("add").addEventListener("click", add);
  find("word").addEventListener("keydown", (event) => { if (event.key === "Enter" && !event.isComposing) { event.preventDefault(); add(); } });
  find("marks").addEventListener("click", (event) => {
    const pressed = event.currentTarget.getAttribute("aria-pressed") !== "true";
    event.currentTarget.setAttribute("aria-pressed", String(pressed));
    showMarks();
  });
  find("copy").addEventListener("click", async () => tell(await copied(punctuated(page.poem)), "copied"));
  find("link").addEventListener("click", async () => {
    history.replaceState(null, "", currentHash());
    tell(await copied(location.href), "linked");
  });
  find("card").addEventListener("click", download);
  addEventListener("hashchange", followAddress);
}

function tell(done, word) {
  if (!done && word === "copied") showFailure(new api.Failure("COPY"));
  else { say(t(word)); find("meta").textContent = t(word); setTimeout(() => page.finished && tellMeta(), 2500); }
}

async function download() {
  clearNotice();
  find("card").disabled = true;
  say(t("drawing"));
  try {
    await saveCard(page.finished, page.poem, seals.kept, page.picture);
    say(t("saved"));
  } catch (failure) {
    showFailure(failure, download);
  } finally {
    find("card").disabled = false;
  }
}

begin();
