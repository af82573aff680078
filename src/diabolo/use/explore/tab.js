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

const at = name => new URL(name, import.meta.url);

// What the server makes of the numbers that the page in the frame asks about: numbers, or in a sentence why there are none.
async function answered({ what, values }, key) {
  if (!["encode", "decode"].includes(what) || !(values instanceof Float32Array) || key === undefined) return "no such question.";
  try {
    const answer = await fetch(at(`${what}?run=${encodeURIComponent(key)}`),
      { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: values });
    return answer.ok ? new Float32Array(await answer.arrayBuffer()) : await answer.text();
  } catch {
    return "TensorBoard does not answer, or with other than numbers.";
  }
}

export async function render() {
  const runs = await (await fetch(at("runs"))).json();
  const boxes = runs.map(({ key }) => element("input", { type: "checkbox", value: key }));
  const labels = runs.map(({ name, state }, i) => element("label", {}, boxes[i], ` ${name} `,
    element("small", { textContent: state === "done" ? "" : state })));
  const said = element("p", { role: "status", textContent: runs.length
    ? "Choose one run, or two to see them beside each other." : "There is no run of diabolo's below the log folder." });
  const frame = element("iframe", { title: "Explorer", sandbox: "allow-scripts" });
  const form = element("form", {}, ...labels, element("div", {}, element("button", { textContent: "Explore" })), said);
  let shown = [];  // the keys of the runs in the frame
  addEventListener("message", async ({ source, data, ports: [port] }) => {
    if (source === frame.contentWindow && port) port.postMessage(await answered(data, shown[data.run]));
  });
  form.onsubmit = async event => {
    event.preventDefault();
    const chosen = boxes.filter(box => box.checked).map(box => box.value);
    const address = at(`page?${chosen.map(key => `run=${encodeURIComponent(key)}`).join("&")}`);
    said.textContent = "The page is being made; this takes some seconds.";
    const answer = await fetch(address);
    said.textContent = answer.ok ? "" : `There is no page: ${await answer.text()}`;
    if (!answer.ok) return;
    shown = chosen;
    frame.src = address;
  };
  document.head.append(element("style", { textContent: STYLE }));
  document.body.replaceChildren(form, frame);
  document.body.dataset.ready = "";
}
