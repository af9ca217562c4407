// What the checker says of the poem, in words.
import { find, language, make, t } from "./speech.js";
import { FAULTS } from "./words.js";

/** `point(line, positions)` shows the places of the remark under the pointer or the focus. */
export function showCheck(check, point) {
  const at = find("checked");
  at.hidden = !check;
  if (!check) return;
  const remarks = [...check.faults, ...check.rescues.map((rescue) => ({ ...rescue, severity: "rescue" }))];
  const count = check.faults.length;
  at.replaceChildren(
    make("h2", {}, count ? t("faults", { count }) : t("conforms")),
    make("p", { className: "legend" }, ...["level", "oblique", "either"].map((kind) => legend(kind)), legend("level rhyme", "rhyme")),
    make("ul", {}, ...remarks.map((remark) => item(remark, point))),
  );
}

function legend(kind, word = kind) {
  return make("span", {}, make("span", { className: `mark ${kind}`, ariaHidden: "true" }), ` ${t(word)}`);
}

function item(remark, point) {
  const zh = language() === "zh";
  const text = zh ? FAULTS[remark.kind] ?? remark.explanation : remark.explanation;
  const row = make("li", { className: remark.severity, tabIndex: 0 },
    make("b", { lang: "zh-Hans" }, remark.name), `${t("where", { line: remark.line + 1 })}${zh ? "：" : ". "}${text}`);
  for (const event of ["mouseenter", "focus"]) row.addEventListener(event, () => point(remark.line, remark.positions));
  for (const event of ["mouseleave", "blur"]) row.addEventListener(event, () => point(0, []));
  return row;
}
