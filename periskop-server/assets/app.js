// What the pages do beyond plain HTML. Every function of the UI works without this file.
"use strict";
(() => {
  const base = document.body.dataset.base;
  const $ = (selector) => document.querySelector(selector);
  document.documentElement.classList.add("js");

  // The reference's addresses: #/{service}/errors/{encodeURIComponent(key)}. A service may hold
  // slashes of its own; an encoded key does not, so the last "/errors/" divides them.
  const decode = (text) => { try { return decodeURIComponent(text); } catch { return text; } };
  function followHash() {
    const path = location.hash;
    if (!path.startsWith("#/")) return;
    const query = new URLSearchParams();
    const cut = path.lastIndexOf("/errors/");
    if (cut > 1) {
      query.set("service", decode(path.slice(2, cut)));
      query.set("key", decode(path.slice(cut + "/errors/".length)));
      location.replace(`${base}/error?${query}`);
    } else if (path.length > 2) {
      query.set("service", decode(path.slice(2).replace(/(\/errors)?\/?$/, "")));
      location.replace(`${base}/errors?${query}`);
    }
  }
  followHash();
  addEventListener("hashchange", followHash);

  // Times in the viewer's zone: the tooltip of every time, and the axis of a chart.
  const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  const axis = {
    time: new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }),
    day: new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" }),
  };
  function localize(root) {
    for (const time of root.querySelectorAll("time[datetime]")) {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      time.title = zoned.format(at);
      if (axis[time.dataset.as]) time.textContent = axis[time.dataset.as].format(at);
    }
  }

  function prepare() {
    localize(document);
    for (const button of document.querySelectorAll("[data-copy],[data-help]")) button.hidden = false;
    const chosen = selected && document.getElementById(selected);
    if (chosen) chosen.classList.add("chosen");
  }

  // The error that j and k have chosen, by its id: it stays chosen when the list is updated.
  let selected = null;
  function choose(step) {
    const rows = [...document.querySelectorAll(".row")];
    if (!rows.length) return;
    const at = rows.findIndex((row) => row.id === selected);
    const next = rows[at < 0 ? (step > 0 ? 0 : rows.length - 1) : Math.min(Math.max(at + step, 0), rows.length - 1)];
    for (const row of rows) row.classList.toggle("chosen", row === next);
    selected = next.id;
    next.focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  async function copy(button) {
    const source = document.getElementById(button.dataset.copy);
    if (!source) return;
    const range = document.createRange();
    range.selectNodeContents(source);
    const selection = getSelection();
    try {
      // Only in a secure context; elsewhere the text is selected and the browser's own copy used.
      await navigator.clipboard.writeText(source.textContent);
    } catch {
      selection.removeAllRanges();
      selection.addRange(range);
      if (!document.execCommand("copy")) return;
    }
    const label = button.textContent;
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = label; }, 1500);
  }

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy],[data-help]");
    if (button && button.dataset.copy) copy(button);
    else if (button) $("#help").showModal();
    const menu = $(".menu[open]");
    if (menu && !menu.contains(event.target)) menu.open = false;
  });

  const keys = {
    "/": () => { const q = $("#q"); q.focus(); q.select(); },
    "?": () => $("#help").showModal(),
    j: () => { const older = $("#older"); if (older) older.click(); else choose(1); },
    k: () => { const newer = $("#newer"); if (newer) newer.click(); else choose(-1); },
    e: () => { const act = $("#act"); if (act) act.click(); },
  };
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && event.target.id === "q") event.target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (event.target.closest("input, textarea, select, dialog[open]")) return;
    const act = Object.hasOwn(keys, event.key) && keys[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  });

  // Live updates wait while nobody looks, or while somebody reads what an update would close.
  document.addEventListener("htmx:beforeRequest", (event) => {
    const element = event.detail.elt;
    if (element.id !== "live") return;
    if (document.hidden || element.querySelector("details[open]") || String(getSelection())) event.preventDefault();
  });
  // A page that says what went wrong is shown like any other.
  document.addEventListener("htmx:beforeSwap", (event) => {
    if (event.detail.xhr.status >= 400 && event.detail.target.id === "main") event.detail.shouldSwap = true;
  });
  document.addEventListener("htmx:afterSettle", prepare);
  prepare();

})();
