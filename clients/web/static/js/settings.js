// The form with the wishes: between its fields, a request, and the address bar.
import { find, language, make, t } from "./speech.js";
import { BOOKS, FORMS, PATTERNS } from "./words.js";

// Written to the address where they are not as the page begins.
const FIELDS = ["form", "rhyme_book", "rhyme_group", "pattern", "acrostic", "poet", "subject", "candidates", "seed", "temperature"];
const DEFAULTS = { form: "qijue", candidates: "1", temperature: "1" };

export class Settings {
  constructor() {
    this.form = find("settings");
    this.fields = this.form.elements;
    this.info = null;
    this.fields.rhyme_book.addEventListener("change", () => this.#offerGroups());
    this.form.addEventListener("change", () => this.#follow());
    this.fields.temperature.addEventListener("input", () => this.#follow());
    this.offer();
  }

  /** Fill the choices, in the page's language, and keep what is chosen. */
  offer(info = this.info) {
    this.info = info;
    const chosen = this.values();
    const books = info?.rhyme_books ?? Object.entries(BOOKS).map(([book, name]) => ({ book, name }));
    this.#choices("rhyme_book", books.map(({ book, name }) => [book, name]));
    const poets = info?.poets ?? [];
    this.#choices("poet", [["", t("any")], ...poets.map(({ name }) => [name, name])]);
    const subjects = [...new Set(poets.flatMap((poet) => poet.subjects))];
    this.#choices("subject", [["", t("any")], ...subjects.map((name) => [name, name])]);
    this.fill(chosen);
  }

  /** Set the fields; what is not named takes its default. */
  fill(values) {
    const all = { ...DEFAULTS, ...values };
    this.fields.regulated.checked = !all.free;
    for (const name of ["form", "rhyme_book", "acrostic", "poet", "subject", "candidates", "seed", "temperature"]) this.#set(name, all[name]);
    this.#follow();
    this.#offerGroups();
    for (const name of ["rhyme_group", "pattern"]) this.#set(name, all[name]);
    this.#follow();
  }

  /** What differs from the defaults, as text, for the address. */
  values() {
    const values = {};
    for (const name of FIELDS) {
      const value = this.fields[name].value.trim();
      if (value && value !== DEFAULTS[name]) values[name] = value;
    }
    if (values.rhyme_book === "pingshui") delete values.rhyme_book;
    if (!this.fields.regulated.checked) values.free = "1";
    return values;
  }

  /** What a request says. */
  wish() {
    const values = { ...DEFAULTS, ...this.values() };
    const wish = { form: values.form, candidates: Number(values.candidates), temperature: Number(values.temperature) };
    for (const name of ["rhyme_book", "acrostic", "poet", "subject"]) if (values[name]) wish[name] = values[name];
    if (values.free) wish.regulated = false;
    else for (const name of ["rhyme_group", "pattern"]) if (values[name]) wish[name] = values[name];
    if (/^\d{1,15}$/.test(values.seed ?? "")) wish.seed = Number(values.seed);
    return wish;
  }

  #follow() {
    this.fields.warmth.value = Number(this.fields.temperature.value).toFixed(2);
    const [, places] = FORMS[this.fields.form.value];
    const names = Object.entries(PATTERNS[language()][places]);
    const chosen = this.fields.pattern.value;
    this.#choices("pattern", [["", t("any")], ...names]);
    this.#set("pattern", chosen);
    for (const name of ["rhyme_group", "pattern"]) this.fields[name].disabled = !this.fields.regulated.checked;
  }

  #offerGroups() {
    const book = this.info?.rhyme_books.find(({ book }) => book === this.fields.rhyme_book.value);
    this.#choices("rhyme_group", [["", t("any")], ...(book?.rhyme_groups ?? []).map((group) => [group, group])]);
  }

  #choices(name, pairs) {
    this.fields[name].replaceChildren(...pairs.map(([value, text]) => make("option", { value }, text)));
  }

  #set(name, value) {
    const field = this.fields[name];
    const offered = field.options && ![...field.options].some((option) => option.value === value);
    if (offered) field.selectedIndex = 0;
    else field.value = value ?? "";
  }
}
