// A plot of the page: its points can be pointed at, and it follows the runs that are shown and lit.

import { element, short } from "./element.js";

const REACH = 24;  // pixels of the screen from a point at which it is still meant
const MOST_NAMED = 6;  // runs that a note names

export class RunPlot {
  // about: {box: [left, top, width, height], x and y: {label, ends, log}, marks: [{kind, name, colour, points, said}]} as
  // matplotlib drew them; each of a mark's points has its values, one a run: [place of the run, x, y].
  constructor(figure, about, runs, note) {
    Object.assign(this, { figure, about, runs, note, svg: figure.querySelector("svg"), current: null });
    this.parts = about.marks.map((mark, place) => [...this.svg.querySelectorAll(`[data-mark="${place}"]`)]);
    this.covers = about.marks.map((mark, place) => (mark.kind === "row" ? this._cover(place) : null));
    this.rings = this._make("g", { class: "rings" });
    this.svg.append(...this.covers.filter(Boolean), this.rings);
    const title = figure.querySelector("h3").textContent;
    const ariaLabel = `${title}. Arrow keys go from point to point, Enter keeps one.`;
    Object.assign(figure, { tabIndex: 0, role: "group", ariaLabel });
    figure.onpointermove = figure.onpointerdown = event => this.point(this._nearest(event));
    figure.onblur = () => this.point(null);
    figure.onpointerleave = ({ pointerType }) => pointerType !== "touch" && this.point(null);  // a finger leaves at once
    figure.onclick = () => (this.current ? runs.keep(placesOf(this.current)) : runs.letGo());
    figure.onkeydown = event => this._key(event);
    runs.addEventListener("shown", () => this.show());
    runs.addEventListener("lit", () => this.light());
    this.spots = this._spots();
  }

  // What can be pointed at: means, single runs where they are drawn, points of curves, fields of rows.
  _spots() {
    const { box: [left, top, width, height], marks } = this.about, spots = [];
    const add = (mark, values, { said, dot = false } = {}) => {
      const x = this._at("x", mean(values, 1)), y = this._at("y", mean(values, 2));
      const inside = x > left - 1 && x < left + width + 1 && y > top - 1 && y < top + height + 1;
      if (inside) spots.push({ mark, values, said, dot, x, y });
    };
    for (const [place, mark] of marks.entries()) {
      const dotted = this._part(place, "dots");
      for (const [i, all] of mark.points.entries()) {
        const values = this._shown(all);
        if (values.length) add(mark, values, { said: mark.said[i] });
        if (dotted && all.length > 1) for (const value of values) add(mark, [value], { dot: true });
      }
    }
    return spots;
  }

  _shown(values) {
    return values.filter(([run]) => run < 0 || this.runs.shown.has(run));
  }

  _part(place, name) {
    return this.parts[place].find(({ dataset }) => dataset.part === name);
  }

  // What can hide a row of an image.
  _cover(place) {
    const { box: [x, , width] } = this.about, [y, end] = [place - 0.5, place + 0.5].map(edge => this._at("y", edge));
    return this._make("rect", { class: "cover", x, y, width, height: end - y });
  }

  // Where a value lies in the picture.
  _at(side, value) {
    const { ends: [first, last], log } = this.about[side], { box: [left, top, width, height] } = this.about;
    const [low, high, at] = log ? [first, last, value].map(Math.log) : [first, last, value];
    const share = (at - low) / (high - low);
    return side === "x" ? left + share * width : top + (1 - share) * height;
  }

  _nearest({ clientX, clientY }) {
    const matrix = this.svg.getScreenCTM(), inverse = matrix.inverse();
    const { x, y } = new DOMPoint(clientX, clientY).matrixTransform(inverse);
    let nearest = null, least = (REACH * inverse.a) ** 2;
    for (const spot of this.spots) {
      const distance = (spot.x - x) ** 2 + (spot.y - y) ** 2;
      if (distance < least) [nearest, least] = [spot, distance];
    }
    return nearest;
  }

  // Shows what a spot is, and lights its runs up; null: nothing is pointed at.
  point(spot) {
    if (spot === this.current) return;
    this.current = spot;
    if (!spot) this.note.hidden = true;
    else this._tell(spot);
    this.runs.point(spot ? placesOf(spot) : []);
    this.light();
  }

  _key(event) {
    if (event.key === "Enter" && this.current) return this.runs.keep(placesOf(this.current));
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (!step) return undefined;
    event.preventDefault();
    const last = ({ mark, values }) => mark.kind !== "curve" || values[0] === this._shown(mark.points.at(-1))[0];
    const stops = this.spots.filter(last), here = stops.indexOf(this.current);
    const next = here < 0 && step === -1 ? 0 : here + step;
    return this.point(stops[Math.min(Math.max(next, 0), stops.length - 1)] ?? null);
  }

  _tell({ mark, values, said, x, y }) {
    const names = placesOf({ values }).map(place => this.runs.all[place].name), [low, high] = ends(values);
    const title = names.length === 1 ? names[0] : names.length ? `${mark.name}: mean of ${names.length} runs` : mark.name;
    const { label } = this.about.y, kind = mark.kind === "curve" && mark.name ? mark.name : label;
    const spread = values.length > 1 ? ` (${short(low)} to ${short(high)})` : "";
    const across = `${this.about.x.label} ${short(mean(values, 1))}`;
    const lines = said ? [said] : [`${kind} ${short(mean(values, 2))}${spread}`, across];
    const others = names.length > 1 ? names.slice(0, MOST_NAMED).map((name, i) => `${name}: ${short(values[i][2])}`) : [];
    if (names.length > MOST_NAMED) others.push(`and ${names.length - MOST_NAMED} more`);
    this.note.replaceChildren(element("b", { textContent: title }),
      ...[...lines, ...others].map(textContent => element("div", { textContent })));
    this.note.style.borderLeftColor = mark.colour;
    this.note.hidden = false;
    this._place(new DOMPoint(x, y).matrixTransform(this.svg.getScreenCTM()));
  }

  // Puts the note beside a place of the window, within it.
  _place({ x, y }) {
    const { width, height } = this.note.getBoundingClientRect(), { clientWidth } = document.documentElement;
    this.note.style.left = `${Math.max(4, Math.min(x + 14, clientWidth - width - 4))}px`;
    this.note.style.top = `${y + 14 + height < innerHeight ? y + 14 : Math.max(4, y - 14 - height)}px`;
  }

  light() {
    const { lit } = this.runs, meant = values => values.some(([run]) => lit.has(run));
    this.svg.classList.toggle("dimmed", lit.size > 0);
    for (const [place, { points }] of this.about.marks.entries()) {
      for (const part of [...this.parts[place], this.covers[place]]) part?.classList.toggle("lit", points.some(meant));
    }
    const ringed = this.spots.filter(spot =>
      spot === this.current || (spot.mark.kind === "line" && meant(spot.values)));
    this.rings.replaceChildren(...ringed.map(({ x, y, dot }) => this._make("circle", { cx: x, cy: y, r: dot ? 4 : 7 })));
  }

  // Draws what is left of each mark: means, bands and dots over the runs that are shown.
  show() {
    this.current = null;
    this.note.hidden = true;
    this.spots = this._spots();
    for (const [place, mark] of this.about.marks.entries()) {
      const some = mark.points.some(values => this._shown(values).length);
      if (mark.kind === "line") this._drawLine(place, mark);
      else for (const part of this.parts[place]) visible(part, some);
      this.covers[place]?.classList.toggle("over", !some);
    }
    for (const verdict of this.svg.querySelectorAll('[data-part="verdict"]')) {
      visible(verdict, this.runs.shown.size === this.runs.all.length);  // it is about all runs
    }
    this.light();
  }

  _drawLine(place, { points, colour }) {
    const left = points.map(values => this._shown(values));
    const at = left.map(values => values.length && [this._at("x", mean(values, 1)), this._at("y", mean(values, 2))]);
    const drawn = this._part(place, "mean");
    drawn.querySelector(":scope > path")?.setAttribute("d", path(at.filter(Boolean)));
    drawn.querySelectorAll("use").forEach((marker, i) => {
      visible(marker, at[i]);
      if (at[i]) ["x", "y"].forEach((side, k) => marker.setAttribute(side, at[i][k]));
    });
    const all = points.flat();
    this._part(place, "dots")?.querySelectorAll("use").forEach((dot, i) => visible(dot, this._shown([all[i]]).length));
    const [band, ...more] = this.parts[place].filter(({ dataset }) => dataset.part === "band");
    if (!band) return;
    const outline = end => left.flatMap((values, i) => (values.length ? [[at[i][0], this._at("y", ends(values)[end])]] : []));
    const corners = [...outline(0), ...outline(1).reverse()];
    band.replaceChildren(this._make("path", { d: path(corners), fill: colour, stroke: colour, opacity: 0.2 }));
    more.forEach(part => part.replaceChildren());
  }

  _make(tag, attributes) {
    const made = document.createElementNS(this.svg.namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }
}

function placesOf({ values }) {
  return values.map(([run]) => run).filter(run => run >= 0);
}

function mean(values, place) {
  return values.reduce((sum, value) => sum + value[place], 0) / values.length;
}

function ends(values) {
  const ys = values.map(([, , y]) => y);
  return [Math.min(...ys), Math.max(...ys)];
}

function path(places) {
  return places.map(([x, y], i) => `${i ? "L" : "M"}${x} ${y}`).join("");
}

function visible(part, shown) {
  part.style.display = shown ? "" : "none";
}
