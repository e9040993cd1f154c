// What the pages do beyond plain HTML. Every function of the UI works without this file.
(() => {
  const own = window.periskop, doc = document;
  const on = (type, act) => doc.addEventListener(type, act);
  const byId = own.byId = (id, root = doc) => root.getElementById(id);
  const all = own.all = (selector, root = doc) => [...root.querySelectorAll(selector)];
  own.parse = (html) => new DOMParser().parseFromString(html, "text/html");

  // The reference's addresses: #/{service}/errors/{encodeURIComponent(key)}. A service may hold
  // slashes of its own; an encoded key does not, so the last "/errors/" divides them.
  const recode = (text) => { try { text = decodeURIComponent(text); } catch { } return encodeURIComponent(text); };
  function followHash() {
    const base = doc.body.dataset.base, { hash } = location;
    const error = /^#\/(.+)\/errors\/(.+)$/.exec(hash), service = /^#\/(.+?)(\/errors)?\/?$/.exec(hash);
    if (error) location.replace(`${base}/error?service=${recode(error[1])}&key=${recode(error[2])}`);
    else if (service) location.replace(`${base}/errors?service=${recode(service[1])}`);
  }
  followHash();
  addEventListener("hashchange", followHash);

  // Times as the viewer wants them; the tooltip is the whole time. Ages are told as the server does.
  const units = [[31536e3, 63072e3, "y"], [86400, 172800, "d"], [3600, 3600, "h"], [60, 60, "min"], [1, 0, "s"]];
  function age(seconds) {
    const [size, , unit] = units.find(([, from]) => seconds >= from);
    return `${seconds / size | 0}\u00a0${unit}`;
  }
  own.localize = (root) => {
    const timeZone = own.kept.zone === "UTC" ? "UTC" : undefined, absolute = own.kept.times === "absolute";
    const form = (options) => new Intl.DateTimeFormat(undefined, { timeZone, ...options });
    const time = { hour: "2-digit", minute: "2-digit", hourCycle: "h23" }, day = { month: "short", day: "numeric" };
    const forms = { time: form(time), day: form(day), moment: form({ ...day, ...time }) };
    const whole = form({ dateStyle: "medium", timeStyle: "long" });
    for (const element of all("time", root)) {
      const at = new Date(element.dateTime), { as } = element.dataset;
      if (isNaN(at)) continue;
      const past = Math.floor((Date.now() - at) / 1000);
      element.title = whole.format(at);
      if (forms[as] || absolute) element.textContent = (forms[as] || forms.moment).format(at);
      else if (past < 0) element.textContent = `in ${age(-past)}`;
      else element.textContent = past ? age(past) + (as ? " ago" : "") : "now";
    }
  };
  own.say = (text) => { byId("announce").textContent = text; };

  // The row that j and k have chosen, by its id: it stays chosen when the list is updated.
  let selected = "";
  const mark = () => { for (const row of all(".row")) row.classList.toggle("chosen", row.id === selected); };
  function choose(step) {
    const rows = all(".row"), at = rows.findIndex((row) => row.id === selected);
    const next = rows[Math.min(Math.max(at + step, 0), rows.length - 1)];
    if (!next) return;
    selected = next.id;
    mark();
    next.querySelector("a").focus({ preventScroll: true });
    next.scrollIntoView({ block: "nearest" });
  }

  own.prepare = () => {
    own.localize(doc);
    mark();
    // What was done is said once, and not again to whoever is sent the address.
    const address = new URL(location), said = byId("said");
    if (said?.role) own.say(said.textContent);
    said?.removeAttribute("role");
    if (address.searchParams.has("done")) {
      address.searchParams.delete("done");
      history.replaceState(history.state, "", address);
    }
  };

  async function copy(button) {
    const source = byId(button.dataset.copy), text = source ? source.textContent : location.href;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      // Not in a secure context.
      const area = doc.body.appendChild(doc.createElement("textarea"));
      area.value = text;
      area.select();
      doc.execCommand("copy");
      area.remove();
    }
    const label = button.textContent;
    button.textContent = "Copied";
    own.say("Copied");
    setTimeout(() => { button.textContent = label; }, 1500);
  }

  function open(name) {
    for (const radio of all("#settings input")) radio.checked = own.kept[radio.name] === radio.value;
    byId(name).showModal();
  }
  byId("settings").addEventListener("change", ({ target }) => {
    own.set(target.name, target.value);
    own.localize(doc);
  });

  on("click", (event) => {
    const button = event.target.closest("[data-copy],[data-open],[data-reload]");
    if (button) {
      event.preventDefault();
      const { copy: source, open: dialog } = button.dataset;
      if (source) copy(button);
      else if (dialog) open(dialog);
      else { scrollTo(0, 0); location.reload(); }
    }
    for (const menu of all(".menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });

  const press = (id) => { const button = byId(id); button?.click(); return button; };
  const tick = () => byId(selected)?.querySelector("input");
  // In the list, on what is selected, or else on the chosen row.
  function act(id) {
    if (press(id)) return;
    const ticked = all(".row :checked")[0] || tick();
    if (!ticked) return;
    ticked.checked = true;
    press(`bulk-${id}`);
  }
  const keys = {
    "/": () => { byId("q").focus(); byId("q").select(); },
    "?": () => open("keys"),
    j: () => press("older") || choose(1),
    k: () => press("newer") || choose(-1),
    e: () => act("act"),
    m: () => act("mute"),
    x: () => tick()?.click(),
  };
  on("keydown", (event) => {
    const { target, key } = event, menu = target.closest(".menu[open]");
    if (key === "Escape" && menu) {
      menu.open = false;
      menu.firstElementChild.focus();
    } else if (key === "Escape" && target.id === "q") target.blur();
    if (event.ctrlKey || event.metaKey || event.altKey || !keys[key]) return;
    if (target.closest("input:not([type=checkbox]), select, dialog[open]")) return;
    event.preventDefault();
    keys[key]();
  });

  // A stretch of time is taken out of the chart by dragging.
  on("pointerdown", (event) => {
    const bars = event.target.closest(".bars");
    if (!bars || event.button) return;
    event.preventDefault();
    const box = bars.getBoundingClientRect(), start = event.clientX;
    const shade = bars.appendChild(doc.createElementNS(bars.namespaceURI, "rect"));
    const set = (values) => { for (const name in values) shade.setAttribute(name, values[name]); };
    // The ends of the stretch on a scale from one value to another.
    const ends = (x, from, to) => [Math.min(x, start), Math.max(x, start)]
      .map((x) => from + Math.min(Math.max((x - box.left) / box.width, 0), 1) * (to - from));
    const move = ({ clientX }) => {
      const [x, to] = ends(clientX, 0, bars.viewBox.baseVal.width);
      set({ x, width: to - x });
    };
    set({ class: "drag", height: 110 });
    addEventListener("pointermove", move);
    addEventListener("pointerup", ({ clientX }) => {
      removeEventListener("pointermove", move);
      shade.remove();
      if (Math.abs(clientX - start) < 5) return;
      const [from, to] = ends(clientX, +bars.dataset.from, +bars.dataset.to), address = new URL(location);
      address.searchParams.delete("range");
      address.searchParams.set("from", Math.floor(from));
      address.searchParams.set("to", Math.ceil(to));
      location.assign(address);
    }, { once: true });
  });

  on("htmx:beforeSwap", ({ detail }) => {
    const { xhr, target } = detail;
    if (xhr.status < 400) return;
    detail.isError = false;
    // A page that says what went wrong is shown like any other; a search that cannot be read leaves
    // the last good list where it is.
    if (target.id === "main") detail.shouldSwap = true;
    const problem = target.id === "list" && byId("query-problem", own.parse(xhr.response));
    if (problem) byId("query-problem").replaceWith(problem);
  });
  on("htmx:afterSettle", own.prepare);
  own.prepare();
})();
