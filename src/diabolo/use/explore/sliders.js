// A slider a unit of the active model, first those that change the output most.

import { element } from "./pictures.js";

const FIRST = 12;  // of many units
const BEYOND = 0.25;  // of the way between its ends that a unit can go beyond each

export class Sliders {
  constructor(place, explorer) {
    Object.assign(this, { place, explorer, shown: null, all: false });
    this.more = element("button", { type: "button", onclick: () => { this.all = true; this.shown = null; this.update(); } });
    this.list = element("div", { className: "sliders" });
    place.append(this.list, this.more);
  }

  _build() {
    const model = this.explorer.models[this.explorer.active];
    const count = this.all ? model.size : Math.min(model.size, FIRST);
    this.rows = model.order.slice(0, count).map((unit, rank) => {
      const beyond = BEYOND * (model.high[unit] - model.low[unit]) || 1;
      const slider = element("input", { type: "range", step: "any", min: model.low[unit] - beyond,
        max: model.high[unit] + beyond, oninput: () => this.explorer.moveUnit(rank, slider.valueAsNumber),
        dataset: { unit } });
      const value = element("output");
      const name = element("span", {}, `unit ${unit + 1}`, element("small", { textContent: ` ${model.response[unit].toFixed(3)}` }));
      this.list.append(element("label", {}, name, slider, value));
      return { unit, slider, value };
    });
    this.more.hidden = count === model.size;
    this.more.textContent = `All ${model.size} units`;
  }

  update() {
    const { active, codes } = this.explorer;
    if (this.shown !== active) {
      this.list.replaceChildren();
      this._build();
      this.shown = active;
    }
    for (const { unit, slider, value } of this.rows) {
      const now = codes[active][unit];
      if (Math.abs(slider.valueAsNumber - now) > 1e-6 * Math.abs(now)) slider.value = now;
      value.textContent = now.toFixed(2);
    }
  }
}
