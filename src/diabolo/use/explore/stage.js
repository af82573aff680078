// The image and, for each model, what it decodes, the error and the figures.

import { after } from "./asking.js";
import { meanSquare } from "./models.js";
import { clear, drawError, drawImage, element } from "./pictures.js";

export class Stage {
  constructor(place, explorer) {
    this.explorer = explorer;
    this.original = this._canvas("image", -1, "The image");
    this.name = element("p", { className: "figure" });
    place.append(element("figure", { className: "card" }, element("h3", { textContent: "Image" }), this.original, this.name));
    this.cards = explorer.models.map((model, i) => this._card(place, model, i));
  }

  _card(place, model, i) {
    const decoded = this._canvas("decoded", i, `Decoded by ${model.name}`);
    const error = this._canvas("error", i, `Error of ${model.name}: red is too bright, blue too dark`);
    const figure = element("p", { className: "figure" }), inside = element("p", { className: "figure" });
    const name = element("h3", { textContent: model.name, title: model.name });
    place.append(element("figure", { className: "card" }, name, element("div", { className: "pair" }, decoded, error),
      figure, inside));
    return { decoded, error, figure, inside };
  }

  _canvas(what, model, label) {
    const [, height, width] = this.explorer.image.shape;
    return element("canvas", { className: "pixels", width, height, role: "img", ariaLabel: label, dataset: { what, model } });
  }

  update() {
    const { target, codes, models, image } = this.explorer;
    if (target) drawImage(this.original, target.values, image);
    else clear(this.original);
    this.name.textContent = target ? target.name : "none";
    for (const [i, card] of this.cards.entries()) {
      const { inside } = card;
      after(models[i].decode(codes[i], this), made => this._show(card, made, target));
      const strangeness = models[i].strangeness(codes[i]);
      inside.textContent = strangeness > 1 ? "⚠ outside the training codes" : "among the training codes";
      inside.classList.toggle("warning", strangeness > 1);
    }
  }

  // made: null where nothing has come.
  _show({ decoded, error, figure }, made, target) {
    const { image } = this.explorer;
    if (made) drawImage(decoded, made, image);
    else clear(decoded);
    if (made && target) drawError(error, made, target.values, image);
    else clear(error);
    figure.textContent = made && target ? `MSE ${meanSquare(made, target.values).toPrecision(4)}`
      : `MSE: no ${made ? "image" : "answer"}`;
  }
}
