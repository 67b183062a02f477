// The ticket stands after the link's `#`, so that it is in no server's log. Without this script a
// visitor pastes the link into the form.
"use strict";

function show() {
  const form = document.getElementById("ticket");
  const code = location.hash.slice(1);
  if (!form || !/^[\w-]{16,64}$/.test(code)) return;
  form.elements.ticket.value = code;
  // The history of a shared computer need not hold it either.
  history.replaceState(null, "", location.pathname);
  form.requestSubmit();
}

addEventListener("hashchange", show);
show();
