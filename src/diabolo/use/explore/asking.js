// A network that is not in the page: TensorBoard's tab, in which the page stands, is asked for what it computes.

const ALONE = "this page asks TensorBoard's tab for its network, but was opened without it.";
const DAMAGED = "TensorBoard's answer is not what was asked for.";

export class AskedNetwork {
  // place: of its run among the runs that the tab shows; what: "encode" or "decode"; count: of the numbers that come out;
  // tell: takes a sentence that says why there is no answer, or "".
  constructor(place, what, count, tell) {
    Object.assign(this, { place, what, count, tell, busy: false, waiting: new Map() });
    tell("waits for TensorBoard's first answer.");
  }

  // A promise of what comes out; of null where nothing does, which is told. One question at a time is under way. Of
  // those that wait, the latest of each `asker` alone is asked: the others are never answered.
  run(values, asker) {
    return new Promise(done => {
      this.waiting.set(asker, { values: values.slice(), done });
      if (!this.busy) this._next();
    });
  }

  _next() {
    const [next] = this.waiting;
    this.busy = Boolean(next);
    if (!next) return;
    const [asker, { values, done }] = next;
    this.waiting.delete(asker);
    const answered = data => {
      const whole = data instanceof Float32Array && data.length === this.count;
      this.tell(whole ? "" : typeof data === "string" ? data : DAMAGED);
      done(whole ? data : null);
      this._next();
    };
    if (parent === window) return queueMicrotask(() => answered(ALONE));
    const { port1, port2 } = new MessageChannel();  // on which no one but the tab can answer
    port1.onmessage = ({ data }) => {
      port1.close();
      answered(data);
    };
    parent.postMessage({ run: this.place, what: this.what, values }, "*", [port2]);
  }
}

// What `then` makes of a value, or a promise of it where the value is promised.
export function after(value, then) {
  return value instanceof Promise ? value.then(then) : then(value);
}
