// Brings the page to life from the data that stand in it; without it, everything is there to be read.

import { element } from "./element.js";
import { Filter } from "./filter.js";
import { Pair } from "./pair.js";
import { RunPlot } from "./plot.js";
import { followRuns, Runs } from "./runs.js";
import { makeSortable } from "./sort.js";

export function start({ keys, runs: all, plots }) {
  const runs = new Runs(all), note = element("div", { className: "tip", role: "status", hidden: true });
  document.body.append(note);
  document.querySelectorAll("table.sortable").forEach(makeSortable);
  document.querySelectorAll(".plots figure").forEach((figure, i) => new RunPlot(figure, plots[i], runs, note));
  followRuns(runs);
  const sheets = [...document.querySelectorAll(".sheet[data-images]")], pair = document.getElementById("pair");
  pair.hidden = !sheets.length;
  if (sheets.length) new Pair(pair, sheets, runs);
  new Filter(document.getElementById("filter"), keys, runs);
  document.querySelectorAll(".script").forEach(words => { words.hidden = false; });
  document.body.dataset.ready = "";
}
