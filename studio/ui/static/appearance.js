// Sets the theme before the screens are drawn: dark unless the person chose light.
(() => {
  const KEY = "ourvidz-theme";
  const root = document.documentElement;
  const stored = () => {
    try {
      return localStorage.getItem(KEY);
    } catch {
      return null;
    }
  };
  const apply = (theme) => {
    root.dataset.theme = theme;
    root.style.colorScheme = theme;
    document.body.classList.toggle("dark", theme === "dark");
  };
  window.ourvidzTheme = {
    current: () => root.dataset.theme,
    set(theme) {
      try {
        localStorage.setItem(KEY, theme);
      } catch {
        // A browser that keeps nothing still switches for this visit.
      }
      apply(theme);
    },
  };
  apply(stored() === "light" ? "light" : "dark");
  const keep = () => {
    const dark = root.dataset.theme === "dark";
    if (document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
  };
  keep(); // Gradio follows the system's theme by itself; the person's choice wins.
  new MutationObserver(keep).observe(document.body, { attributes: true, attributeFilter: ["class"] });
})();
