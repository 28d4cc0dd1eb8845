// Whose page this is, and whether that person is still signed in: a session may end elsewhere while the page is open.

import { SIGNED_OUT, api } from "./api.js";
import { emitter } from "./dom.js";

const changes = emitter();
let person = null;
let signedIn = true;

// Tells `listener` at once, and whenever it changes.
export const onSignedIn = (listener) => {
  listener(signedIn);
  return changes.on(listener);
};

export function watchSession() {
  document.addEventListener(SIGNED_OUT, () => become(false));
  for (const [target, event] of [[document, "visibilitychange"], [window, "focus"]]) {
    target.addEventListener(event, () => signedIn || document.hidden || checkPerson());
  }
  return checkPerson();
}

// Resolves true when the studio answers this page's person. What is on the page of one person is not for another who
// has signed in since: then the page begins anew.
export async function checkPerson() {
  const me = await api.me().catch(() => null); // signed out: the refusal was told above
  if (!me) return false;
  person ??= me.id;
  if (me.id !== person) location.reload();
  become(true);
  return me.id === person;
}

function become(now) {
  if (signedIn === now) return;
  signedIn = now;
  changes.emit(now);
}
