// Brings the page to life from the data that stand in it.

import { numbersOf, pixelsOf } from "./blobs.js";
import { Explorer } from "./explorer.js";
import { CodeMap } from "./map.js";
import { Arithmetic, Blend } from "./mixing.js";
import { Model, rows } from "./models.js";
import { element, readImage } from "./pictures.js";
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
  explorer.add(new Stage(place("stage"), explorer), new CodeMap(place("map"), explorer),
    new Sliders(place("sliders"), explorer), new Blend(place("blend"), explorer),
    new Arithmetic(place("arithmetic"), explorer));
  chooseModel(place("active"), place("about"), explorer);
  chooseImage(place("choose"), explorer);
  explorer.takeTestImage(0);
  place("check").append(...models.map(model => element("li", { textContent: checked(model, images) })));
  document.body.dataset.ready = "";
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

// Buttons and files: the mean, a test image, one of the user's own.
function chooseImage(place, explorer) {
  const { images, image } = explorer, said = element("span", { className: "note", role: "status" });
  const number = element("input", { type: "number", min: 1, max: images.length, value: 1, ariaLabel: "Number of the test image",
    onchange: () => take(number.valueAsNumber - 1) });
  const take = at => {
    number.value = ((at + images.length) % images.length || 0) + 1;
    explorer.takeTestImage(number.valueAsNumber - 1);
  };
  const button = (textContent, onclick, ariaLabel = textContent) => element("button", { type: "button", textContent, onclick, ariaLabel });
  const file = element("input", { type: "file", accept: "image/*", onchange: () => open(file.files[0]) });
  const canEncode = [1, 3].includes(image.shape[0]) && explorer.models.some(model => model.encoder);
  const open = async chosen => {
    if (!chosen || !canEncode) return;
    try {
      explorer.takeImage(await readImage(chosen, image), chosen.name);
      said.textContent = "";
    } catch {
      said.textContent = `${chosen.name} cannot be read as an image.`;
    }
  };
  place.append(button("Mean code", () => explorer.takeMean()), button("◀", () => take(number.valueAsNumber - 2), "Previous test image"), number,
    button("▶", () => take(number.valueAsNumber), "Next test image"),
    button("Any", () => take(Math.floor(Math.random() * images.length)), "Any test image"));
  if (canEncode) place.append(element("label", { className: "file" }, "or drop an image, or open one ", file));
  place.append(said);
  addEventListener("dragover", event => event.preventDefault());
  addEventListener("drop", event => {
    event.preventDefault();
    open(event.dataTransfer.files[0]);
  });
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
