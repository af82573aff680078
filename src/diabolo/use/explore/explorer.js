// What is being looked at: an image, and a code of it in each model. Panels change it, and show it again when it changed.

import { after } from "./asking.js";
import { combined } from "./models.js";

export class Explorer {
  // models: Model[]; images: Float32Array[] in [0, 1], the test images; labels: number[]; image: shape and channels.
  constructor(models, images, labels, classes, image) {
    Object.assign(this, { models, images, labels, classes, image, panels: [], active: 0, target: null, base: null });
    this.codes = models.map(model => model.mean.slice());
  }

  // A panel has `update()`, called once a frame after something has changed.
  add(...panels) {
    this.panels.push(...panels);
  }

  changed() {
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      for (const panel of this.panels) panel.update();
    });
  }

  className(label) {
    return label < 0 ? "no label" : this.classes[label] ?? String(label);
  }

  activate(place) {
    this.active = place;
    this.changed();
  }

  takeMean() {
    this.target = null;
    this._take(this.models.map(model => model.mean.slice()));
  }

  takeTestImage(place) {
    const name = `test image ${place + 1}, ${this.className(this.labels[place])}`;
    this.target = { values: this.images[place], name, place };
    this._take(this.models.map(model => model.codes[place].slice()));
  }

  // An image of the user's: models without an encoder stay where they are.
  takeImage(values, name) {
    this.target = { values, name, place: null };
    this._take(this.encoded(values));
  }

  // The codes of the image again, after they have been moved.
  retake() {
    if (!this.target) this.takeMean();
    else if (this.target.place !== null) this.takeTestImage(this.target.place);
    else this.takeImage(this.target.values, this.target.name);
  }

  // The codes that models give an image, or the promise of one: of some models promises. Null where none has come.
  encoded(image, asker = this) {
    return this.models.map((model, i) =>
      model.encoder ? after(image, values => values && model.encode(values, asker)) : this.codes[i]);
  }

  // The unit of rank `rank` of the active model goes to `value`, and those of the same rank in the other models to the
  // same place between their ends.
  moveUnit(rank, value) {
    const { order, low, high } = this.models[this.active], unit = order[rank];
    const share = (value - low[unit]) / (high[unit] - low[unit] || 1);
    this._take(this.codes.map((code, i) => {
      const model = this.models[i], moved = code.slice(), own = model.order[rank];
      if (i === this.active) moved[unit] = value;
      else if (own !== undefined) moved[own] = model.low[own] + share * (model.high[own] - model.low[own]);
      return moved;
    }));
  }

  // The code of the active model goes to `code`; the other models take what is decoded there for their image.
  moveTo(code) {
    const decoded = this.models[this.active].decode(code, this);
    const codes = this.encoded(after(decoded, made => made && made.map(value => Math.min(Math.max(value, 0), 1))));
    codes[this.active] = code;
    this._take(codes);
  }

  // Latent arithmetic: mean code of one class minus that of another, times `strength`, added to the codes that were there.
  shift(plus, minus, strength) {
    this.base ??= this.codes;
    this.codes = this.base.map((code, i) => {
      const { means } = this.models[i];
      return combined([code, means.get(plus), means.get(minus)], [1, strength, -strength]);
    });
    this.changed();
  }

  // A model whose code is promised stays where it is until it has come, and longer if codes have been taken since.
  _take(codes) {
    this.taken = codes;
    this.codes = codes.map((code, i) => (code instanceof Promise ? this.codes[i] : code));
    this.base = null;
    this.changed();
    for (const [i, code] of codes.entries()) {
      if (code instanceof Promise) code.then(come => {
        if (come && this.taken === codes) this._take(codes.map((other, k) => (k === i ? come : other)));
      });
    }
  }
}
