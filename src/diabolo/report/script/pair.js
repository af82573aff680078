// Two runs on the same image: under a slider, in turn, or side by side.

import { element, short } from "./element.js";

const LARGEST = 340;  // pixels of the screen that an image is enlarged to
const TURN = 700;  // milliseconds for which flicker shows a run: well below the three flashes a second that harm
const MODES = ["slider", "flicker", "side by side"];

export class Pair {
  // sheets: elements with a picture a row, each of the same images side by side, a pixel between them.
  constructor(place, sheets, runs) {
    Object.assign(this, { runs, loaded: new Map(), number: 0, mode: MODES[0] });
    this.pictures = sheets.flatMap(sheet => [...sheet.children].map(figure => pictureOf(figure, sheet)));
    const [first, second] = this._defaults();
    this.sides = [this._side("A", first), this._side("B", second)];
    this._makeStage();
    this._makeControls();
    const about = element("dl", {}, ...this.sides.flatMap(({ name, about }) => [name, about]));
    place.append(...this.sides.map(({ label }) => label), this.choice, this.said, this.stages, this.sliding, this.flicker,
      about, coverage(this.pictures, runs));
    runs.addEventListener("shown", () => this._narrow());
    this._narrow();
  }

  // The two best runs of a sheet, else its originals and its run.
  _defaults() {
    const alike = this.pictures.filter(({ sheet }) => sheet === this.pictures[0].sheet);
    const best = alike.filter(({ run }) => run !== null).sort((a, b) => a.error - b.error);
    return best.length > 1 ? best : [alike[0], best[0]];
  }

  _side(letter, chosen) {
    const options = this.pictures.map(one => element("option", { textContent: one.name, selected: one === chosen }));
    const headings = [...new Set(this.pictures.map(({ heading }) => heading))];
    const groups = headings.map(label => element("optgroup", { label },
      ...options.filter((_, i) => this.pictures[i].heading === label)));
    const select = element("select", { onchange: () => this._show() }, ...(groups.length > 1 ? groups : options));
    const label = element("label", { className: "side" }, `${letter} `, select);
    const canvas = element("canvas", { role: "img", dataset: { side: letter } });
    return { select, options, label, canvas, name: element("dt", { textContent: letter }), about: element("dd") };
  }

  _makeStage() {
    this.original = { canvas: element("canvas", { role: "img", dataset: { side: "original" } }) };
    this.edge = element("i", { className: "edge" });
    this.stage = element("div", { className: "stage" }, ...this.sides.map(({ canvas }) => canvas), this.edge);
    this.stage.onpointerdown = this.stage.onpointermove = event => this._drag(event);
    this.stages = element("div", { className: "stages" }, this.original.canvas, this.stage);
  }

  _makeControls() {
    const button = (textContent, onclick, ariaLabel = textContent) =>
      element("button", { type: "button", textContent, ariaLabel, onclick });
    this.place = element("input", { type: "number", min: 1, ariaLabel: "Number of the image",
      onchange: () => this._go(this.place.valueAsNumber - 1) });
    const modes = MODES.map(value => element("label", {}, element("input", { type: "radio", name: "mode", value,
      checked: value === this.mode, onchange: () => this._go(this.number, value) }), ` ${value}`));
    this.choice = element("div", { className: "row" },
      "Image", button("◀", () => this._go(this.number - 1), "Previous image"), this.place,
      button("▶", () => this._go(this.number + 1), "Next image"),
      element("div", { className: "row", role: "radiogroup", ariaLabel: "How they are compared" }, ...modes));
    this.said = element("p", { role: "status", className: "warning" });
    this.slider = element("input", { type: "range", min: 0, max: 100, value: 50, ariaLabel: "How much of A",
      oninput: () => this._slide() });
    this.sliding = element("div", { className: "row" }, "all B", this.slider, "all A");
    const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.alone = element("input", { type: "checkbox", checked: !still, onchange: () => this._show() });
    this.flicker = element("div", { className: "row" }, button("Show the other", () => this._turn()),
      element("label", {}, this.alone, " by turns"));
  }

  // Runs that are filtered out cannot be chosen; the best that is left takes the place of one that was.
  _narrow() {
    for (const [i, { select, options }] of this.sides.entries()) {
      const other = this.sides[1 - i].select;
      options.forEach((option, k) => {
        const { run } = this.pictures[k];
        option.hidden = option.disabled = run !== null && !this.runs.shown.has(run);
      });
      if (!options[select.selectedIndex].disabled) continue;
      const left = [...options.keys()].filter(k => !options[k].disabled && k !== other.selectedIndex);
      const rank = k => (this.pictures[k].run === null ? Infinity : this.pictures[k].error);
      select.selectedIndex = left.reduce((best, k) => (rank(k) < rank(best) ? k : best), left[0]);
    }
    this._show();
  }

  _go(number, mode = this.mode) {
    Object.assign(this, { number, mode });
    this._show();
  }

  _turn() {
    this.stage.dataset.shown = this.stage.dataset.shown === "A" ? "B" : "A";
  }

  _drag({ buttons, clientX }) {
    if (this.mode !== "slider" || !buttons) return;
    const { left, width } = this.stage.getBoundingClientRect();
    this.slider.value = (100 * (clientX - left)) / width;
    this._slide();
  }

  _show() {
    const chosen = this.sides.map(({ select }) => this.pictures[select.selectedIndex]);
    const [{ sheet, count }] = chosen, alike = sheet === chosen[1].sheet;
    this.number = Math.trunc(this.number + count) % count || 0;  // 0 where no number was typed
    Object.assign(this.place, { max: count, value: this.number + 1 });
    this.said.textContent = alike ? "" : "These two do not show the same images, so they cannot be laid over each other: "
      + `A is of “${chosen[0].heading}”, B of “${chosen[1].heading}”. Choose two under one heading.`;
    this.stages.hidden = !alike;
    this.sliding.hidden = !alike || this.mode !== "slider";
    this.flicker.hidden = !alike || this.mode !== "flicker";
    Object.assign(this.stage.dataset, { mode: this.mode, shown: this.stage.dataset.shown ?? "A" });
    clearInterval(this.timer);
    if (!this.flicker.hidden && this.alone.checked) this.timer = setInterval(() => this._turn(), TURN);
    this._slide();
    this.sides.forEach((side, i) => this._describe(side, chosen[i]));
    if (alike) this._draw(this.original, this.pictures.find(picture => picture.sheet === sheet));
  }

  // Left of the edge A is seen, right of it B.
  _slide() {
    const share = this.slider.valueAsNumber;
    this.slider.setAttribute("aria-valuetext", `${share} % of A`);
    this.sides[1].canvas.style.clipPath = this.mode === "slider" ? `inset(0 0 0 ${share}%)` : "";
    this.edge.style.left = `${share}%`;
  }

  _describe(side, picture) {
    const { name, errors, error, colour } = picture, own = errors[this.number];
    side.about.textContent = [name, Number.isFinite(own) ? `MSE of this image ${short(own)}` : "",
      error === null ? "" : `of the test split ${short(error)}`].filter(Boolean).join(" · ");
    side.name.style.setProperty("--run", colour || "transparent");
    this._draw(side, picture);
  }

  async _draw(side, picture) {
    const wanted = side.wanted = `${picture.name}, image ${this.number + 1}`, { number } = this;
    const image = await this._load(picture.source);
    if (side.wanted !== wanted) return;  // another one was chosen meanwhile
    const width = (image.naturalWidth + 1) / picture.count - 1, height = image.naturalHeight, { canvas } = side;
    const room = Math.min(LARGEST, (document.documentElement.clientWidth - 40) / 2);
    Object.assign(canvas, { width, height, ariaLabel: wanted });
    canvas.style.width = `${width * Math.max(1, Math.floor(room / Math.max(width, height)))}px`;
    canvas.getContext("2d").drawImage(image, number * (width + 1), 0, width, height, 0, 0, width, height);
    canvas.dataset.drawn = wanted;
  }

  // A copy of its own: that of the sheet may wait until it is scrolled to.
  _load(source) {
    if (!this.loaded.has(source)) {
      const image = element("img", { src: source });
      this.loaded.set(source, image.decode().then(() => image));
    }
    return this.loaded.get(source);
  }
}

function pictureOf(figure, sheet) {
  const image = figure.querySelector("img"), error = figure.querySelector("[data-value]");
  const { run, errors = "[]" } = figure.dataset;
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
    `${having} of ${all} runs have pictures here: of each line and size the best, 12 at most. --where chooses others.` });
}
