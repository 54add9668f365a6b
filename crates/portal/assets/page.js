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

/** Shows recovery codes. */
export function showCodes(codes) {
  at("codes").replaceChildren(...codes.map((code) => {
    const item = document.createElement("li");
    item.textContent = code;
    return item;
  }));
}
