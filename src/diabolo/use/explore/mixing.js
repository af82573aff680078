// Blends of images, in pixels and in codes, and latent arithmetic.

import { after } from "./asking.js";
import { combined } from "./models.js";
import { clear, drawImage, element } from "./pictures.js";

export class Blend {
  constructor(place, explorer) {
    Object.assign(this, { explorer, parts: [], dirty: false });
    const add = element("button", { type: "button", textContent: "Add the current image", onclick: () => this._add() });
    this.add = add;
    this.list = element("div", { className: "chips" });
    this.results = element("div", { className: "cards" });
    this.hint = element("p", { className: "note", textContent: "Add two images or more, and give each its weight." });
    place.append(element("p", { className: "row" }, add), this.hint, this.list, this.results);
    this.pixels = this._card("in pixels", -1);
    this.cards = explorer.models.map((model, i) => this._card(`in codes: ${model.name}`, i));
    this.results.hidden = true;
  }

  _card(title, model) {
    const canvas = element("canvas", { className: "pixels", role: "img", ariaLabel: `Blended ${title}`,
      dataset: { what: "blend", model } });
    this.results.append(element("figure", { className: "card" }, element("h3", { textContent: title }), canvas));
    return canvas;
  }

  async _add() {
    const { target, models, image } = this.explorer, part = { values: target.values, weight: 50 };
    part.codes = target.place === null ? await Promise.all(this.explorer.encoded(target.values, part))
      : models.map(model => model.codes[target.place]);
    if (part.codes.includes(null)) return;
    const thumb = element("canvas", { className: "pixels" });
    drawImage(thumb, target.values, image);
    const slider = element("input", { type: "range", min: 0, max: 100, value: 50, ariaLabel: `Weight of ${target.name}`,
      oninput: () => { part.weight = slider.valueAsNumber; this._change(); } });
    const chip = element("div", { className: "chip" }, thumb, slider, element("button", { type: "button", textContent: "×",
      ariaLabel: `Remove ${target.name}`, onclick: () => {
        chip.remove();
        this.parts.splice(this.parts.indexOf(part), 1);
        this._change();
      } }));
    this.parts.push(part);
    this.list.append(chip);
    this._change();
  }

  _change() {
    this.dirty = true;
    this.explorer.changed();
  }

  update() {
    this.add.disabled = !this.explorer.target;
    if (!this.dirty) return;
    this.dirty = false;
    const sum = this.parts.reduce((total, part) => total + part.weight, 0);
    this.results.hidden = this.parts.length < 2 || !sum;
    this.hint.hidden = this.parts.length > 1;
    if (this.results.hidden) return;
    const weights = this.parts.map(part => part.weight / sum), { models, image } = this.explorer;
    drawImage(this.pixels, combined(this.parts.map(part => part.values), weights), image);
    for (const [i, canvas] of this.cards.entries()) {
      const code = combined(this.parts.map(part => part.codes[i]), weights);
      after(models[i].decode(code, this), made => (made ? drawImage(canvas, made, image) : clear(canvas)));
    }
  }
}

export class Arithmetic {
  constructor(place, explorer) {
    this.explorer = explorer;
    const labels = [...explorer.models[0].means.keys()];
    place.parentElement.hidden = labels.length < 2;
    if (labels.length < 2) return;
    const choose = (name, start) => element("select", { ariaLabel: name, onchange: () => this._shift() },
      ...labels.map((label, i) => element("option", { value: label, selected: i === start,
        textContent: explorer.className(Number(label)) })));
    this.plus = choose("Class whose mean is added", 1);
    this.minus = choose("Class whose mean is subtracted", 0);
    this.strength = element("input", { type: "range", min: -2, max: 2, step: 0.01, value: 0, ariaLabel: "How much",
      oninput: () => this._shift() });
    this.value = element("output", { textContent: "0.00" });
    place.append(element("p", { className: "row" }, "code + ", this.value, " × (mean of ", this.plus, " − mean of ", this.minus, ")"),
      this.strength);
  }

  _shift() {
    this.explorer.shift(this.plus.value, this.minus.value, this.strength.valueAsNumber);
  }

  update() {
    if (!this.strength) return;
    if (!this.explorer.base) this.strength.value = 0;
    this.value.textContent = this.strength.valueAsNumber.toFixed(2);
  }
}
