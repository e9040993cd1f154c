// What the viewer has set, before anything is drawn: kept in this browser only.
window.periskop = (() => {
  const root = document.documentElement;
  const kept = { theme: "auto", zone: "local", times: "relative" };
  // There may be nothing, or no permission to look.
  try { Object.assign(kept, JSON.parse(localStorage.periskop)); } catch { }
  const show = () => Object.assign(root.dataset, kept);
  root.classList.add("js");
  show();
  return {
    kept,
    set(name, value) {
      kept[name] = value;
      show();
      try { localStorage.periskop = JSON.stringify(kept); } catch { }
    },
  };
})();
