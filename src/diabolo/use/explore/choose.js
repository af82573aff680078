// Which image is looked at: a test image, one of the user's own, or none but the mean code.

import { element, readImage } from "./pictures.js";

export class ImageChooser {
  constructor(place, explorer) {
    this.explorer = explorer;
    const { images, image, models } = explorer;
    const button = (textContent, onclick, ariaLabel = textContent) =>
      element("button", { type: "button", textContent, ariaLabel, onclick });
    this.number = element("input", { type: "number", min: 1, max: images.length, value: 1,
      ariaLabel: "Number of the test image", onchange: () => this._take(this.number.valueAsNumber - 1) });
    this.reset = button("Back to the image", () => explorer.retake());
    place.append(button("◀", () => this._take(this.number.valueAsNumber - 2), "Previous test image"), this.number,
      button("▶", () => this._take(this.number.valueAsNumber), "Next test image"),
      button("Any", () => this._take(Math.floor(Math.random() * images.length)), "Any test image"),
      this.reset, button("Mean code", () => explorer.takeMean()));
    if ([1, 3].includes(image.shape[0]) && models.some(model => model.encoder)) this._takeFiles(place);
  }

  _take(place) {
    const count = this.explorer.images.length;
    this.explorer.takeTestImage(Math.trunc(place + count) % count || 0);  // 0 where no number was typed
  }

  _takeFiles(place) {
    const said = element("span", { className: "note", role: "status" });
    const open = async file => {
      if (!file) return;
      try {
        this.explorer.takeImage(await readImage(file, this.explorer.image), file.name);
        said.textContent = "";
      } catch {
        said.textContent = `${file.name} cannot be read as an image.`;
      }
    };
    const chooser = element("input", { type: "file", accept: "image/*", onchange: () => open(chooser.files[0]) });
    place.append(element("label", { className: "file" }, "or drop an image, or open one ", chooser), said);
    addEventListener("dragover", event => event.preventDefault());
    addEventListener("drop", event => {
      event.preventDefault();
      open(event.dataTransfer.files[0]);
    });
  }

  update() {
    const { target } = this.explorer;
    this.reset.disabled = !target;
    if (target && target.place !== null) this.number.value = target.place + 1;
  }
}
