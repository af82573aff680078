// Brings the page to life from the data that stand in it.

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
  const models = data.models.map(about => new Model(about, image.shape, weights, numbers));
  const explorer = new Explorer(models, images, data.labels, data.classes, image);
  explorer.add(new ImageChooser(place("choose"), explorer), new Stage(place("stage"), explorer),
    new CodeMap(place("map"), explorer), new Sliders(place("sliders"), explorer), new Blend(place("blend"), explorer),
    new Arithmetic(place("arithmetic"), explorer));
  chooseModel(place("active"), place("about"), explorer);
  explorer.takeTestImage(0);
  document.body.dataset.ready = "";
  for (const model of models) {  // one after the other, so that the page answers meanwhile
    await new Promise(done => setTimeout(done, 50));
    place("check").append(element("li", { textContent: checked(model, images) }));
  }
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

function checked(model, images) {
  const [decoding, encoding] = model.differences(images);
  const start = performance.now();
  let count = 0;
  for (; count < 2000 && performance.now() - start < 50; count++) model.decode(model.codes[count % model.codes.length]);
  const each = (performance.now() - start) / count;
  return `${model.name} (${told(model)}): largest difference from PyTorch ${decoding.toExponential(1)} of decoded pixels`
    + `${model.encoder ? `, ${encoding.toExponential(1)} of codes` : ""}; one decoding takes ${each.toPrecision(2)} ms here.`;
}
