// The plane of codes: test codes by label, decoded wherever one points.

import { colours, drawImage, element } from "./pictures.js";

const CELLS = 48;  // of the shading, in a row and in a column
const MARGIN = 0.08;  // around the codes
const SHADING_WORK = 3e8;  // multiplications above which cells are fewer

export class CodeMap {
  constructor(place, explorer) {
    Object.assign(this, { explorer, hidden: new Set(), hovered: null });
    this.canvas = element("canvas", { className: "map", tabIndex: 0, role: "img",
      ariaLabel: "Map of codes. Arrow keys move the point, Enter takes the nearest test image, Home the mean code." });
    this.thumb = element("canvas", { className: "pixels" });
    this.tip = element("div", { className: "tip", hidden: true }, this.thumb, element("span"));
    const choose = ariaLabel => element("select", { ariaLabel, onchange: () => this._choose() });
    this.kind = choose("Axes of the map");
    this.units = [choose("Unit across"), choose("Unit upwards")];
    this.nearestButton = element("button", { type: "button", textContent: "Take the nearest image",
      onclick: () => explorer.takeTestImage(this._nearest(this._point())) });
    this.legend = element("div", { className: "legend" });
    place.append(element("p", { className: "row" }, element("label", {}, "Axes ", this.kind), ...this.units, this.nearestButton),
      element("div", { className: "plane" }, this.canvas, this.tip), this.legend);
    this._legend();
    this._listen();
    new ResizeObserver(() => this.update()).observe(this.canvas);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => { this._legend(); this.update(); });
  }

  // ---- the plane ----

  get model() {
    return this.explorer.models[this.explorer.active];
  }

  // The axes that the active model can have: units in the order of the sliders.
  _offer() {
    const { size, order } = this.model;
    this.kind.replaceChildren(...["principal axes", "two units"].slice(0, size).map(textContent => element("option", { textContent })));
    for (const [rank, select] of this.units.entries()) {
      select.replaceChildren(...order.map(unit => element("option", { textContent: `unit ${unit + 1}`, value: unit })));
      select.selectedIndex = Math.min(rank, size - 1);
    }
  }

  _choose() {
    this._fit();
    this.update();
  }

  // Two directions of length 1, the origin, and where the test codes lie in them.
  _fit() {
    const { model, kind, units } = this, byUnits = kind.selectedIndex === 1;
    const unit = ({ value }) => Float32Array.from({ length: model.size }, (_, i) => Number(i === Number(value)));
    for (const select of units) select.hidden = !byUnits;
    this.directions = byUnits ? units.map(unit) : [model.axes[0], model.axes[1] ?? new Float32Array(model.size)];
    if (byUnits && units[0].value === units[1].value) this.directions[1].fill(0);  // a line
    this.points = model.codes.map(code => this._flat(code));
    this.ends = [0, 1].map(axis => {
      const values = this.points.map(point => point[axis]), low = Math.min(...values), high = Math.max(...values);
      const more = MARGIN * (high - low) || 1;
      return [low - more, high + more];
    });
    this.shading = null;
  }

  _flat(code) {
    return this.directions.map(direction => direction.reduce((sum, value, i) => sum + value * code[i], 0));
  }

  // The active code moved within the plane, all else of it as it is.
  _codeAt(point) {
    const code = this.explorer.codes[this.explorer.active], now = this._flat(code);
    return code.map((value, i) =>
      value + this.directions.reduce((sum, direction, axis) => sum + (point[axis] - now[axis]) * direction[i], 0));
  }

  _point() {
    return this._flat(this.explorer.codes[this.explorer.active]);
  }

  _nearest(point, within = Infinity) {
    const spans = this.ends.map(([low, high]) => high - low);
    let best = null, least = within;
    for (const [i, other] of this.points.entries()) {
      if (this.hidden.has(this.explorer.labels[i])) continue;
      const distance = Math.hypot(...other.map((value, axis) => (value - point[axis]) / spans[axis]));
      if (distance < least) [best, least] = [i, distance];
    }
    return best;
  }

  // ---- what the user does ----

  _listen() {
    const { canvas, explorer } = this;
    const at = event => {
      const box = canvas.getBoundingClientRect();
      const x = (event.clientX - box.left) / box.width, y = 1 - (event.clientY - box.top) / box.height;
      return [x, y].map((share, axis) => this.ends[axis][0] + share * (this.ends[axis][1] - this.ends[axis][0]));
    };
    canvas.addEventListener("pointerdown", event => {
      canvas.setPointerCapture(event.pointerId);
      explorer.moveTo(this._codeAt(at(event)));
    });
    canvas.addEventListener("pointermove", event => {
      if (event.buttons) explorer.moveTo(this._codeAt(at(event)));
      this._hover(event, this._nearest(at(event), 0.02));
    });
    canvas.addEventListener("pointerleave", event => this._hover(event, null));
    canvas.addEventListener("keydown", event => {
      const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] }[event.key];
      if (step) {
        const point = this._point().map((value, axis) => value + (step[axis] * (this.ends[axis][1] - this.ends[axis][0])) / 50);
        explorer.moveTo(this._codeAt(point));
      } else if (event.key === "Enter") explorer.takeTestImage(this._nearest(this._point()));
      else if (event.key === "Home") explorer.takeMean();
      else return;
      event.preventDefault();
    });
  }

  _hover(event, place) {
    this.tip.hidden = place === null;
    if (place === null) return;
    const { explorer, canvas } = this, box = canvas.getBoundingClientRect();
    if (place !== this.hovered) drawImage(this.thumb, explorer.images[place], explorer.image);
    this.hovered = place;
    this.tip.lastChild.textContent = explorer.className(explorer.labels[place]);
    const x = Math.min(event.clientX - box.left + 14, box.width - this.tip.offsetWidth);
    this.tip.style.transform = `translate(${x}px, ${Math.max(0, event.clientY - box.top - this.tip.offsetHeight - 10)}px)`;
  }

  _legend() {
    const labels = [...new Set(this.explorer.labels)].sort((a, b) => a - b), named = labels.filter(label => label >= 0);
    const chosen = colours(named.length);
    this.colours = new Map(named.map((label, i) => [label, chosen[i]]));
    this.legend.replaceChildren(...(labels.length > 1 ? labels : []).map(label => {
      const button = element("button", { type: "button", ariaPressed: String(!this.hidden.has(label)) },
        element("i", { style: `background: ${this.colours.get(label) ?? "gray"}` }), this.explorer.className(label));
      button.onclick = () => {
        if (!this.hidden.delete(label)) this.hidden.add(label);
        button.ariaPressed = String(!this.hidden.has(label));
        this.update();
      };
      return button;
    }));
  }

  // ---- what is drawn ----

  update() {
    if (this.drawn !== this.explorer.active) {
      this.drawn = this.explorer.active;
      this._offer();
      this._choose();
      return;
    }
    const side = Math.round(this.canvas.clientWidth * devicePixelRatio), context = this.canvas.getContext("2d");
    if (!side) return;
    if (this.canvas.width !== side) Object.assign(this.canvas, { width: side, height: side });
    const place = point => point.map((value, axis) => {
      const share = (value - this.ends[axis][0]) / (this.ends[axis][1] - this.ends[axis][0]);
      return side * (axis ? 1 - share : share);
    });
    const style = getComputedStyle(this.canvas), warning = style.getPropertyValue("--warning");
    context.clearRect(0, 0, side, side);
    this._shade(context, side, warning);
    const radius = Math.max(1.5, side / 220);
    for (const [i, point] of this.points.entries()) {
      if (this.hidden.has(this.explorer.labels[i])) continue;
      const [x, y] = place(point);
      context.fillStyle = this.colours.get(this.explorer.labels[i]) ?? "gray";
      context.beginPath();
      context.arc(x, y, radius, 0, 7);
      context.fill();
    }
    const outside = this.model.strangeness(this.explorer.codes[this.explorer.active]) > 1;
    const [x, y] = place(this._point());
    for (const [colour, width] of [[style.getPropertyValue("--paper"), 5], [outside ? warning : style.color, 2.5]]) {
      Object.assign(context, { strokeStyle: colour, lineWidth: width * devicePixelRatio });
      context.beginPath();
      context.arc(x, y, 8 * devicePixelRatio, 0, 7);
      context.stroke();
    }
  }

  // Where the plane through the active code lies outside of the density of training codes; worked out when it rests.
  _shade(context, side, warning) {
    const code = this.explorer.codes[this.explorer.active], point = this._point();
    const rest = code.map((value, i) => value - this.directions.reduce((sum, d, axis) => sum + point[axis] * d[i], 0));
    const same = this.shading && this.shading.rest.every((value, i) => Math.abs(value - rest[i]) < 1e-3);
    if (!same) {
      clearTimeout(this.later);
      this.later = setTimeout(() => { this.shading = this._shaded(rest); this.update(); }, 120);
    }
    if (!this.shading) return;
    const { cells, outside } = this.shading, edge = cell => Math.round((cell * side) / cells);
    Object.assign(context, { fillStyle: warning, globalAlpha: same ? 0.16 : 0.06 });
    for (const [i, is] of outside.entries()) {
      const x = i % cells, y = Math.floor(i / cells);
      if (is) context.fillRect(edge(x), edge(y), edge(x + 1) - edge(x), edge(y + 1) - edge(y));
    }
    context.globalAlpha = 1;
  }

  _shaded(rest) {
    const { model } = this, work = model.train.length * model.size;
    const cells = Math.max(12, Math.min(CELLS, Math.floor(Math.sqrt(SHADING_WORK / work))));
    const outside = Array.from({ length: cells * cells }, (_, i) => {
      const shares = [((i % cells) + 0.5) / cells, 1 - (Math.floor(i / cells) + 0.5) / cells];
      const point = shares.map((share, axis) => this.ends[axis][0] + share * (this.ends[axis][1] - this.ends[axis][0]));
      const code = rest.map((v, k) => v + this.directions.reduce((sum, d, axis) => sum + point[axis] * d[k], 0));
      return model.strangeness(code) > 1;
    });
    return { rest, cells, outside };
  }
}
