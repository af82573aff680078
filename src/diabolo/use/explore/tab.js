// The tab "Latent" of TensorBoard: a list of runs, and the explorer of those that are chosen.

const STYLE = `
:root { color-scheme: light dark; font: 15px/1.4 system-ui, "DejaVu Sans", sans-serif; }
body { margin: 0; height: 100vh; display: flex; flex-direction: column; }
form { padding: .6rem 1rem; border-bottom: 1px solid #8886; max-height: 40vh; overflow: auto; flex: none; }
label { display: inline-block; margin: .1rem 1.2rem .1rem 0; overflow-wrap: anywhere; }
small, p { opacity: .75; margin: .2rem 0; }
button { font: inherit; padding: .3rem .9rem; }
iframe { border: 0; flex: 1; width: 100%; background: Canvas; }`;

function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export async function render() {
  const at = name => new URL(name, import.meta.url);
  const runs = await (await fetch(at("runs"))).json();
  const boxes = runs.map(({ key }) => element("input", { type: "checkbox", value: key }));
  const labels = runs.map(({ name, state }, i) => element("label", {}, boxes[i], ` ${name} `,
    element("small", { textContent: state === "done" ? "" : state })));
  const said = element("p", { role: "status", textContent: runs.length
    ? "Choose one run, or two to see them beside each other." : "There is no run of diabolo's below the log folder." });
  const frame = element("iframe", { title: "Explorer", sandbox: "allow-scripts" });
  const form = element("form", {}, ...labels, element("div", {}, element("button", { textContent: "Explore" })), said);
  form.onsubmit = async event => {
    event.preventDefault();
    const chosen = boxes.filter(box => box.checked).map(box => `run=${encodeURIComponent(box.value)}`);
    const address = at(`page?${chosen.join("&")}`);
    said.textContent = "The page is being made; this takes some seconds.";
    const answer = await fetch(address);
    said.textContent = answer.ok ? "" : `There is no page: ${await answer.text()}`;
    if (answer.ok) frame.src = address;
  };
  document.head.append(element("style", { textContent: STYLE }));
  document.body.replaceChildren(form, frame);
  document.body.dataset.ready = "";
}
