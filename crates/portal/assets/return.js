// Where to go on after signing in. Only the consent page is ever gone back to, and only in the tab that left it: nothing
// in an address says where to go, so no link can send anybody elsewhere.

const KEY = "carekeep.return";

/** Leaves for the sign-in page, to come back here. */
export function leaveForSignIn() {
  sessionStorage.setItem(KEY, location.pathname + location.search);
  location.assign("/sign-in");
}

/** Goes on after signing in. */
export function goOn() {
  const back = sessionStorage.getItem(KEY);
  sessionStorage.removeItem(KEY);
  location.assign(back?.startsWith("/consent?") ? back : "/");
}
