// Who is signed in, in the header: the way to one's account, or to the sign-in for a guest. Nothing in local mode.

import { h } from "./dom.js";
import { checkPerson } from "./session.js";

export function accountLink() {
  const place = h("span", { class: "ov-account-place" });
  checkPerson().then((me) => me && place.replaceChildren(...linkOf(me)));
  return place;
}

// The address of one's account's page; null in local mode, which has none.
export const accountPage = () => checkPerson().then((me) => (me?.signed_in || me?.role === "guest" ? "/account" : null));

function linkOf({ email, display_name: name, role, signed_in: signedIn }) {
  if (role === "guest") return [h("a", { class: "ov-sign-in", href: "/login" }, "Sign in")];
  if (!signedIn) return [];
  const shown = name || email;
  const label = `${shown}: account and sign-out`;
  return [h("a", { class: "ov-account", href: "/account", title: label, "aria-label": label }, [...shown][0].toUpperCase())];
}
