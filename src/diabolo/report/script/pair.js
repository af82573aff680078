// Two runs on the same image: under a slider, in turn, or side by side.

import { element, short } from "./element.js";

const LARGEST = 340;  // pixels of the screen that an image is enlarged to
const TURN = 700;  // milliseconds for which flicker shows a run: slower than the three flashes a second that harm

export class Pair {
  // sheets: elements with a picture a row, each of the same images side by side, a pixel between them.
  constructor(place, sheets, runs) {
    Object.assign(this, { runs, loaded: new Map(), number: 0, mode: "slider" });
    this.pictures = sheets.flatMap(sheet => [...sheet.children].map(figure => pictureOf(figure, sheet)));
    const [first, second] = this._defaults();
    this.sides = [this._side("A", first), this._side("B", second)];
    this.edge = element("i", { className: "edge" });
    this.stage = element("div", { className: "stage" }, ...this.sides.map(({ canvas }) => canvas), this.edge);
    this.slider = element("input", { type: "range", min: 0, max: 100, value: 50, ariaLabel: "How much of A", oninput: () => this._show() });
    this.turn = element("button", { type: "button", textContent: "Show the other", onclick: () => this._turn() });
    this.alone = element("input", { type: "checkbox", checked: !matchMedia("(prefers-reduced-motion: reduce)").matches, onchange: () => this._show() });
    this.sliding = element("label", { className: "row sliding" }, "B", this.slider, "A");
    this.flicker = element("div", { className: "row" }, this.turn, element("label", {}, this.alone, " by turns"));
    this.said = element("p", { role: "status", className: "warning" });
    this.place = element("input", { type: "number", min: 1, value: 1, ariaLabel: "Number of the image", onchange: () => this._go(this.place.valueAsNumber - 1) });
    const step = (textContent, by, ariaLabel) => element("button", { type: "button", textContent, ariaLabel, onclick: () => this._go(this.number + by) });
    const modes = element("fieldset", { className: "modes" }, element("legend", { textContent: "How" }), ...["slider", "flicker", "side by side"].map(mode =>
      element("label", {}, element("input", { type: "radio", name: "mode", value: mode, checked: mode === this.mode, onchange: () => {
        this.mode = mode;
        this._show();
      } }), ` ${mode}`)));
    place.append(...this.sides.map(({ label }) => label),
      element("div", { className: "row" }, "Image ", step("◀", -1, "Previous image"), this.place, step("▶", 1, "Next image"), modes),
      this.said, this.stage, this.sliding, this.flicker, element("dl", { className: "about" }, ...this.sides.flatMap(({ name, about }) => [name, about])), coverage(this.pictures, runs));
    this.stage.onpointerdown = this.stage.onpointermove = event => this._drag(event);
    runs.addEventListener("shown", () => this._narrow());
    this._narrow();
  }

  // The first two runs of a sheet, else its originals and its run.
  _defaults() {
    const alike = this.pictures.filter(({ sheet }) => sheet === this.pictures[0].sheet);
    const named = alike.filter(({ run }) => run !== null);
    return (named.length > 1 ? named : [alike[0], named[0]]).slice(0, 2);
  }

  _side(letter, chosen) {
    const groups = new Map();
    const options = this.pictures.map(picture => element("option", { textContent: picture.name, selected: picture === chosen }));
    this.pictures.forEach(({ heading }, i) => groups.set(heading, [...(groups.get(heading) ?? []), options[i]]));
    const select = element("select", { onchange: () => this._show() }, ...(groups.size === 1 ? options
      : [...groups].map(([label, inside]) => element("optgroup", { label }, ...inside))));
    const name = element("dt", { textContent: letter }), about = element("dd");
    return { select, options, canvas: element("canvas", { role: "img" }), name, about, label: element("label", { className: "side" }, `${letter} `, select) };
  }

  // Runs that are filtered out cannot be chosen; the first that is left takes the place of one that was.
  _narrow() {
    for (const [i, { select, options }] of this.sides.entries()) {
      const other = this.sides[1 - i].select.selectedIndex;
      options.forEach((option, k) => {
        const { run } = this.pictures[k];
        option.hidden = option.disabled = run !== null && !this.runs.shown.has(run);
      });
      if (!options[select.selectedIndex]?.disabled) continue;
      const left = options.findLastIndex((option, k) => !option.disabled && k !== other && this.pictures[k].run !== null);
      select.selectedIndex = left < 0 ? options.findIndex((option, k) => !option.disabled && k !== other) : left;
    }
    this._show();
  }

  _go(number) {
    this.number = number;
    this._show();
  }

  _turn() {
    this.stage.dataset.shown = this.stage.dataset.shown === "A" ? "B" : "A";
  }

  _drag({ buttons, clientX }) {
    if (this.mode !== "slider" || !buttons) return;
    const { left, width } = this.stage.getBoundingClientRect();
    this.slider.value = (100 * (clientX - left)) / width;
    this._show();
  }

  async _show() {
    const chosen = this.sides.map(({ select }) => this.pictures[select.selectedIndex]);
    const alike = chosen[0].sheet === chosen[1].sheet, count = chosen[0].count;
    this.number = Math.trunc(this.number + count) % count || 0;  // 0 where no number was typed
    Object.assign(this.place, { max: count, value: this.number + 1 });
    this.said.textContent = alike ? "" : `These two do not show the same images (A: ${chosen[0].heading}; B: ${chosen[1].heading}): choose two under the same heading.`;
    this.stage.hidden = !alike;
    this.sliding.hidden = !alike || this.mode !== "slider";
    this.flicker.hidden = !alike || this.mode !== "flicker";
    this.stage.dataset.mode = this.mode;
    this.stage.dataset.shown ??= "A";
    clearInterval(this.timer);
    if (!this.flicker.hidden && this.alone.checked) this.timer = setInterval(() => this._turn(), TURN);
    const share = this.slider.valueAsNumber;
    this.slider.ariaValueText = `${share} % of A`;
    this.sides[1].canvas.style.clipPath = this.mode === "slider" ? `inset(0 0 0 ${share}%)` : "";
    this.edge.style.left = `${share}%`;
    this.sides.forEach(({ about, name }, i) => {
      const { errors, error, name: said, colour } = chosen[i], own = errors[this.number];
      about.textContent = said + (own === undefined ? "" : ` · MSE of this image ${short(own)}`) + (error === null ? "" : `, of the test split ${short(error)}`);
      name.style.setProperty("--run", colour);
    });
    await Promise.all(chosen.map((picture, i) => this._draw(this.sides[i], picture)));
  }

  async _draw(side, picture) {
    side.wanted = picture;
    const image = await this._load(picture.source);
    if (side.wanted !== picture) return;  // another one was chosen meanwhile
    const width = (image.naturalWidth + 1) / picture.count - 1, height = image.naturalHeight;
    const scale = Math.max(1, Math.floor(Math.min(LARGEST, this.stage.parentElement.clientWidth / 2 || LARGEST) / Math.max(width, height)));
    Object.assign(side.canvas, { width, height, ariaLabel: `${picture.name}, image ${this.number + 1}` });
    side.canvas.style.width = `${width * scale}px`;
    side.canvas.getContext("2d").drawImage(image, this.number * (width + 1), 0, width, height, 0, 0, width, height);
    side.canvas.dataset.drawn = `${picture.name} ${this.number + 1}`;
  }

  // A copy of its own: that of the sheet may wait until it is scrolled to.
  async _load(source) {
    if (!this.loaded.has(source)) {
      const image = element("img", { src: source });
      this.loaded.set(source, image.decode().then(() => image));
    }
    return this.loaded.get(source);
  }
}

function pictureOf(figure, sheet) {
  const image = figure.querySelector("img"), error = figure.querySelector("[data-value]"), { run, errors = "[]" } = figure.dataset;
  return {
    sheet, heading: sheet.closest("section").querySelector("h2").textContent, name: image.alt, source: image.src,
    count: Number(sheet.dataset.images), run: run === undefined ? null : Number(run), errors: JSON.parse(errors),
    error: error ? Number(error.dataset.value) : null, colour: figure.style.getPropertyValue("--run"),
  };
}

// Says how many of the runs have a picture.
function coverage(pictures, runs) {
  const having = new Set(pictures.map(({ run }) => run).filter(run => run !== null)).size, all = runs.all.length;
  return element("p", { className: "note", hidden: having === all, textContent:
    `${having} of ${all} runs have pictures here, of each line and size the best; --where chooses others.` });
}
