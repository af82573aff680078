// The runs of the page: which of them are shown, and which are lit up.

export class Runs extends EventTarget {
  // all: of each run its name, its colour and the values by which it can be filtered.
  constructor(all) {
    super();
    Object.assign(this, { all, shown: new Set(all.keys()), lit: new Set(), kept: false });
  }

  // Shows the runs for which `fits` holds.
  show(fits) {
    this.shown = new Set([...this.all.keys()].filter(place => fits(this.all[place])));
    this.letGo();
    this.dispatchEvent(new Event("shown"));
  }

  // Lights up what is pointed at, unless something is kept.
  point(places) {
    if (!this.kept) this._light(places);
  }

  // Keeps runs lit until the same are chosen again, or others.
  keep(places) {
    const again = this.kept && places.length === this.lit.size && places.every(place => this.lit.has(place));
    this.kept = !again && places.length > 0;
    this._light(this.kept ? places : []);
  }

  letGo() {
    this.kept = false;
    this._light([]);
  }

  _light(places) {
    this.lit = new Set(places);
    this.dispatchEvent(new Event("lit"));
  }
}

// The rows and pictures of runs follow: hidden, lit up, and pointed at themselves.
export function followRuns(runs) {
  const followers = [...document.querySelectorAll("[data-run]")].map(row => [row, Number(row.dataset.run)]);
  for (const [row, place] of followers) {
    row.onpointerenter = () => runs.point([place]);
    row.onpointerleave = () => runs.point([]);
    row.onclick = () => getSelection().isCollapsed && runs.keep([place]);
  }
  runs.addEventListener("lit", () => {
    for (const [row, place] of followers) row.classList.toggle("lit", runs.lit.has(place));
    if (runs.kept) followers.filter(([, place]) => runs.lit.has(place)).forEach(([row]) => uncover(row));
  });
  runs.addEventListener("shown", () => {
    for (const [row, place] of followers) row.hidden = !runs.shown.has(place);
    for (const sheet of document.querySelectorAll(".sheet")) {
      sheet.closest("section").hidden = [...sheet.children].every(picture => picture.hidden);
    }
  });
  addEventListener("keydown", ({ key }) => key === "Escape" && runs.letGo());
}

// Scrolls a table, and not the page, to one of its rows.
function uncover(row) {
  const table = row.closest(".scroll");
  if (!table) return;
  const [outer, inner] = [table, row].map(one => one.getBoundingClientRect());
  const head = row.closest("table").tHead.offsetHeight;
  if (inner.top < outer.top + head || inner.bottom > outer.bottom) table.scrollTop += inner.top - outer.top - 2 * head;
}
