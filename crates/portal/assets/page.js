// What the pages have in common: finding elements, showing sections and messages, one action at a time.

export const at = (id) => document.getElementById(id);

/** Says what went wrong; screen readers announce it. */
export function say(text) {
  at("error").textContent = text;
}

/** Shows one section instead of others, and puts the focus on its heading. */
export function show(id, ...others) {
  others.forEach((other) => { at(other).hidden = true; });
  const section = at(id);
  section.hidden = false;
  section.querySelector("h2")?.focus();
}

/** Runs an action with its button disabled; a failure is shown. */
export async function run(button, action) {
  if (button.disabled) return;
  say("");
  // What was done before is no answer to this.
  if (at("done")) done("");
  button.disabled = true;
  try {
    await action();
  } catch (error) {
    say(error.message || "Something went wrong. Try again.");
  } finally {
    button.disabled = false;
  }
}

/** A form that is handled here and never sent by the browser itself. */
export function onSubmit(id, action) {
  const form = at(id);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    run(form.querySelector("button[type=submit]"), action);
  });
}

/** A button that does something. */
export function onClick(id, action) {
  const button = at(id);
  button.addEventListener("click", () => run(button, action));
}

/** Says what was done; screen readers announce it. */
export function done(text) {
  at("done").textContent = text;
}

/** An element with a text. */
export function line(text, tag = "span") {
  const element = document.createElement(tag);
  element.textContent = text;
  return element;
}

/** A button beside others of its kind: `label` says to screen readers what it is about. */
export function button(text, label, action) {
  const element = line(text, "button");
  element.type = "button";
  element.className = "second";
  element.setAttribute("aria-label", label);
  element.addEventListener("click", () => run(element, action));
  return element;
}

/** Asks before what cannot be undone; true when it is to be done. */
export function sure(title, text, yes) {
  const dialog = at("sure");
  at("sure-title").textContent = title;
  at("sure-text").textContent = text;
  at("sure-yes").textContent = yes;
  at("sure-yes").onclick = () => dialog.close("yes");
  at("sure-no").onclick = () => dialog.close("");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
  });
}

/** Shows recovery codes. */
export function showCodes(codes) {
  at("codes").replaceChildren(...codes.map((code) => line(code, "li")));
}
