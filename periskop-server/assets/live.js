// Live updates: what is on the screen changes where it stands, and nothing moves.
(() => {
  const own = window.periskop, { all, byId } = own, doc = document;
  let stream, due, refused, turn = 0;

  // Somebody types, has a menu or dialog open, drags, or marks text.
  const busy = () => doc.querySelector("dialog[open], .menu[open], .drag, input:focus:not([type=checkbox]), select:focus") || String(getSelection());

  function soon(wait) {
    if (!due && !doc.hidden && doc.querySelector("[data-live]")) due = setTimeout(update, wait);
  }

  async function update() {
    due = 0;
    if (doc.hidden) return;
    if (busy()) return soon(2000);
    const mine = ++turn, { href } = location;
    try {
      const answer = await fetch(href, { headers: { "HX-Request": "true" } });
      const page = own.parse(await answer.text());
      if (answer.ok && mine === turn && href === location.href && !busy()) merge(page);
    } catch {
      // The next turn tries again.
    }
  }

  // Each live part in place of itself, with what was open, ticked and focused.
  function merge(page) {
    own.localize(page);
    for (const part of all("[data-live]")) {
      const next = byId(part.id, page), focus = doc.activeElement, within = part.contains(focus);
      if (!next || part.isEqualNode(next) || (within && !focus.id)) continue;
      const opened = all("details", part);
      all("details", next).forEach((details, i) => { details.open = !!opened[i]?.open; });
      if (part.querySelector(":checked")) next.querySelector("input").checked = true;
      part.replaceWith(next);
      htmx.process(next);
      if (within) byId(focus.id)?.focus({ preventScroll: true });
    }
    announce(page);
    own.prepare();
  }

  // Rows that are not on the screen, or stand in another order, wait until they are asked for.
  function announce(page) {
    const rows = byId("rows"), button = byId("more-rows");
    if (!button) return;
    const ids = (root) => all("#rows > [data-live]", root).map((row) => row.id);
    const known = ids(doc), now = ids(page), fresh = now.filter((id) => !known.includes(id));
    const news = fresh.filter((id) => byId(id, page).querySelector(".now")).length;
    const many = (n, kind) => `${n} ${kind}${rows.dataset.one}${n > 1 ? "s" : ""}`;
    let text = "";
    if (news) text = many(news, "new ");
    else if (fresh.length) text = `${many(fresh.length, "")} moved up`;
    else if (rows.dataset.order && now.join() !== known.join()) text = "The order has changed";
    button.hidden = !text;
    if (text && button.textContent !== `${text} · Show`) own.say(text);
    button.textContent = `${text} · Show`;
  }

  // A row that leaves the list stays where it stands, and says why; a text that was forgotten goes.
  const left = { resolved: "ok", muted: "mut", gone: "mut" };
  function happened({ type, data }) {
    soon(1000);
    if (!left[type]) return;
    // What was asked for before this knows nothing of it.
    turn++;
    const { service, aggregation_key: key } = JSON.parse(data);
    const same = ({ value }) => `${value.split("/").map(decodeURIComponent)}` === `${[service, key]}`;
    const name = all("#rows input").find(same)?.parentNode.querySelector(".t");
    if (!name) return;
    if (type === "gone") {
      name.textContent = "";
      name.parentNode.replaceChildren(name);
    }
    name.querySelector(".tag")?.remove();
    name.insertAdjacentHTML("afterbegin", `<span class="tag ${left[type]}">${type.toUpperCase()}</span>`);
  }

  function connect() {
    if (stream || refused || doc.hidden || !window.EventSource) return;
    stream = new EventSource(`${doc.body.dataset.base}/api/v1/events`);
    for (const name of "new regressed resolved reopened muted unmuted gone changed reset".split(" ")) {
      stream.addEventListener(name, happened);
    }
    // Not there, or not allowed: asked for now and then instead. Else the browser tries again.
    stream.onerror = () => {
      refused = stream.readyState === 2;
      if (refused) stream = null;
    };
  }
  function disconnect() {
    stream?.close();
    stream = null;
    clearTimeout(due);
    due = 0;
  }
  function reconnect() {
    connect();
    soon(0);
  }

  // Six tabs that nobody looks at would take all connections that a browser has for us.
  doc.addEventListener("visibilitychange", () => { doc.hidden ? disconnect() : reconnect(); });
  addEventListener("pagehide", disconnect);
  addEventListener("pageshow", ({ persisted }) => { if (persisted) reconnect(); });
  setInterval(() => {
    if (doc.hidden) return;
    own.localize(doc);
    // The events tell of errors, not of instances.
    if (stream?.readyState !== 1 || byId("totals")) soon(0);
  }, 10000);
  connect();
})();
