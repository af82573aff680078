// Brings the page to life from the data that stand in it.

import { AskedNetwork } from "./asking.js";
import { numbersOf, pixelsOf } from "./blobs.js";
import { ImageChooser } from "./choose.js";
import { Explorer } from "./explorer.js";
import { CodeMap } from "./map.js";
import { Arithmetic, Blend } from "./mixing.js";
import { Model, rows } from "./models.js";
import { element } from "./pictures.js";
import { Sliders } from "./sliders.js";
import { Stage } from "./stage.js";

export async function start(data) {
  const place = name => document.getElementById(name);
  const { image } = data, white = image.bytes === 1 ? 255 : 65535;
  const stored = await pixelsOf(data.images, image.bytes);
  const images = rows(Float32Array.from(stored, value => value / white), image.shape.reduce((a, b) => a * b));
  const weights = numbersOf(data.weights, data.half), numbers = numbersOf(data.numbers);
  const models = data.models.map(about => new Model(about, image.shape, weights, numbers, (what, count) =>
    new AskedNetwork(about.asked, what, count, teller(place("told"), about.name))));
  const explorer = new Explorer(models, images, data.labels, data.classes, image);
  explorer.add(new ImageChooser(place("choose"), explorer), new Stage(place("stage"), explorer),
    new CodeMap(place("map"), explorer), new Sliders(place("sliders"), explorer), new Blend(place("blend"), explorer),
    new Arithmetic(place("arithmetic"), explorer));
  chooseModel(place("active"), place("about"), explorer);
  explorer.takeTestImage(0);
  document.body.dataset.ready = "";
  for (const model of models) {  // one after the other, so that the page answers meanwhile
    await new Promise(done => setTimeout(done, 50));
    place("check").append(element("li", { textContent: await checked(model, images) }));
  }
}

// What shows a sentence about a model, or takes it away again with "".
function teller(place, name) {
  const line = element("p", { className: "warning", role: "status" });
  place.append(line);
  return sentence => { line.textContent = sentence && `${name}: ${sentence}`; };
}

function chooseModel(select, about, explorer) {
  select.append(...explorer.models.map(({ name }) => element("option", { textContent: name })));
  select.onchange = () => {
    explorer.activate(select.selectedIndex);
    about.textContent = told(explorer.models[select.selectedIndex]);
  };
  about.textContent = told(explorer.models[0]);
}

function told({ about, said }) {
  return [about, ...said].join("; ");
}

async function checked(model, images) {
  const [decoding, encoding] = await model.differences(images);
  if (Number.isNaN(decoding + encoding)) return `${model.name} (${told(model)}): not compared with PyTorch, for want of an answer.`;
  const start = performance.now();
  let count = 0;
  for (; count < 2000 && performance.now() - start < 50; count++) {
    const decoded = model.decode(model.codes[count % model.codes.length], model);
    if (decoded instanceof Promise) await decoded;
  }
  const each = (performance.now() - start) / count;
  return `${model.name} (${told(model)}): largest difference from PyTorch ${decoding.toExponential(1)} of decoded pixels`
    + `${model.encoder ? `, ${encoding.toExponential(1)} of codes` : ""}; one decoding takes ${each.toPrecision(2)} ms here.`;
}
