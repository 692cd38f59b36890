"use strict";
// Renews the page from one event stream, which is closed while nobody sees the page.
(() => {
  const filter = document.getElementById("filter");
  const link = document.getElementById("link");
  let stream = null;

  // Makes `from` like `to` and keeps what is the same: what is open stays open, what has the focus keeps it.
  function morph(from, to) {
    if (from.nodeName !== to.nodeName || from.id !== to.id) return from.replaceWith(to);
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
    for (const { name } of [...from.attributes]) {
      const isOpen = name === "open" && from.nodeName === "DETAILS";
      if (!isOpen && !to.hasAttribute(name)) from.removeAttribute(name);
    }
    const named = new Map([...from.children].filter((child) => child.id).map((child) => [child.id, child]));
    let at = from.firstChild;
    for (const next of [...to.childNodes]) {
      const known = next.id ? named.get(next.id) : at && !at.id ? at : null;
      if (!known) from.insertBefore(next, at);
      else if (known === at) { at = at.nextSibling; morph(known, next); }
      else { from.insertBefore(known, at); morph(known, next); }
    }
    while (at) { const gone = at; at = at.nextSibling; gone.remove(); }
  }

  function section({ data }) {
    const { id, html } = JSON.parse(data);
    const parsed = new DOMParser().parseFromString(html, "text/html").body.firstElementChild;
    const here = document.getElementById(id);
    if (here && parsed) morph(here, document.adoptNode(parsed));
  }

  function open() {
    close();
    stream = new EventSource("api/v1/events?page=1&" + location.search.slice(1));
    stream.addEventListener("section", section);
    stream.addEventListener("status", ({ data }) => {
      document.title = JSON.parse(data).verdict + " · logcatch";
    });
    stream.onopen = () => { link.hidden = true; };
    stream.onerror = () => {
      link.textContent = "no news since " + new Date().toLocaleTimeString();
      link.hidden = false;
      // Refused for good, as while too many look: asked again later.
      if (stream && stream.readyState === EventSource.CLOSED) setTimeout(() => { if (!document.hidden) open(); }, 10000);
    };
  }

  function close() {
    if (stream) stream.close();
    stream = null;
  }

  let typed = 0;
  filter.addEventListener("input", () => {
    clearTimeout(typed);
    typed = setTimeout(() => {
      const query = new URLSearchParams([...new FormData(filter)].filter(([, value]) => value));
      history.replaceState(null, "", "?" + query);
      open();
    }, 250);
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  if (!document.hidden) open();
})();
