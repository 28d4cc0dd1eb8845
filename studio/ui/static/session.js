// Whose page this is, and whether that person is still signed in: a session may end elsewhere while the page is open.

import { SIGNED_OUT, api } from "./api.js";
import { emitter } from "./dom.js";

const changes = emitter();
let first = null;
let asking = null;
let signedIn = true;

// Tells `listener` at once, and whenever it changes.
export const onSignedIn = (listener) => {
  listener(signedIn);
  return changes.on(listener);
};

export function watchSession() {
  document.addEventListener(SIGNED_OUT, () => become(false));
  for (const [target, event] of [[document, "visibilitychange"], [window, "focus"]]) {
    target.addEventListener(event, () => document.hidden || checkPerson()); // one may have signed in or out elsewhere
  }
  checkPerson();
}

// The person whom the studio answers here, or null. What is on the page of one person is not for another who has signed
// in since: then the page begins anew. Not for another guest: a browser without cookies is a new one with every call.
export const checkPerson = () => (asking ??= ask().finally(() => (asking = null)));

async function ask() {
  const me = await api.me().catch(() => null); // signed out: the refusal was told above
  if (!me) return null;
  first ??= me;
  if (me.id !== first.id && (me.signed_in || first.signed_in)) location.reload();
  become(true);
  return me;
}

function become(now) {
  if (signedIn === now) return;
  signedIn = now;
  changes.emit(now);
}
