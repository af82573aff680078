// Chooses runs by their config: of each key some values, or a range of numbers.

import { element } from "./element.js";

const MOST_VALUES = 12;  // of numbers as boxes to tick; where there are more, a range is given
const MOST_OPEN = 30;  // values in all, up to which the filter is open from the start

export class Filter {
  // keys: in which the runs differ; values of a run stand in their order.
  constructor(place, keys, runs) {
    this.runs = runs;
    this.count = element("span", { role: "status" });
    this.about = element("p", { className: "note", hidden: true, textContent: "Rows, pictures and points of runs follow the "
      + `filter. Sentences, and tables of losses, are about all ${runs.all.length} runs.` });
    this.choices = keys.map((key, column) => {
      const values = runs.all.map(run => run.values[column]), different = [...new Set(values)].sort(inOrder);
      const many = different.length > MOST_VALUES && values.every(value => typeof value === "number");
      return new (many ? NumberRange : Values)(key, column, different, values, () => this.apply());
    });
    const size = this.choices.reduce((sum, choice) => sum + choice.size, 0);
    const reset = element("button", { type: "button", textContent: "Show all", onclick: () => this.reset() });
    place.append(element("details", { open: size <= MOST_OPEN },
      element("summary", {}, "Filter: ", this.count),
      element("div", { className: "choices" }, ...this.choices.map(({ fields }) => fields), reset), this.about));
    place.hidden = !keys.length;
    this.apply();
  }

  apply() {
    this.runs.show(run => this.choices.every(choice => choice.fits(run)));
    const [shown, all] = [this.runs.shown.size, this.runs.all.length];
    this.count.textContent = `${shown} of ${all} runs shown`;
    this.about.hidden = shown === all;
  }

  reset() {
    for (const choice of this.choices) choice.clear();
    this.apply();
  }
}

// Values of a key to tick; as long as none is ticked, all are shown.
class Values {
  constructor(key, column, different, values, changed) {
    Object.assign(this, { column, size: different.length });
    this.boxes = different.map(value => {
      const box = element("input", { type: "checkbox", onchange: changed });
      const count = element("small", { textContent: values.filter(one => one === value).length });
      return { value, box, label: element("label", {}, box, ` ${value === "" ? "none" : value} `, count) };
    });
    this.fields = element("fieldset", {}, element("legend", { textContent: key }), ...this.boxes.map(({ label }) => label));
  }

  fits(run) {
    const ticked = this.boxes.filter(({ box }) => box.checked);
    return !ticked.length || ticked.some(({ value }) => value === run.values[this.column]);
  }

  clear() {
    for (const { box } of this.boxes) box.checked = false;
  }
}

// A range of numbers, both ends within.
class NumberRange {
  constructor(key, column, different, _, changed) {
    Object.assign(this, { column, size: 2 });
    const end = (name, placeholder) =>
      element("input", { type: "number", step: "any", placeholder, ariaLabel: `${key} ${name}`, oninput: changed });
    [this.low, this.high] = [end("from", different[0]), end("to", different.at(-1))];
    this.fields = element("fieldset", {}, element("legend", { textContent: key }), this.low, " to ", this.high);
  }

  fits({ values }) {
    const value = values[this.column], [low, high] = [this.low, this.high].map(input => input.valueAsNumber);
    return !(value < low) && !(value > high);  // an end that is not given is NaN
  }

  clear() {
    this.low.value = this.high.value = "";
  }
}

// Numbers before words, each in their order.
function inOrder(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return (typeof a === "string") - (typeof b === "string") || String(a).localeCompare(String(b), "en", { numeric: true });
}
