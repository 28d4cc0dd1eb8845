// Sets the theme before the screens are drawn: dark unless the person chose light.
(() => {
  const root = document.documentElement;
  // Kept in a cookie, since the studio's own pages have no script: there the server reads what was chosen. In a frame of
  // another site's page only cookies get through that browsers keep apart for that site.
  const framed = window.self !== window.top && location.protocol === "https:";
  const RULES = `Path=/; Max-Age=31536000; ${framed ? "SameSite=None; Secure; Partitioned" : "SameSite=Lax"}`;
  const chosen = () => document.cookie.match(/(?:^|; )studio-theme=(dark|light)(?:;|$)/)?.[1];
  const apply = (theme) => {
    document.cookie = `studio-theme=${theme}; ${RULES}`;
    root.dataset.theme = theme;
    root.style.colorScheme = theme;
    document.body.classList.toggle("dark", theme === "dark");
  };
  window.ourvidzTheme = { current: () => root.dataset.theme, set: apply };
  apply(chosen() ?? "dark");
  const keep = () => {
    const dark = root.dataset.theme === "dark";
    if (document.body.classList.contains("dark") !== dark) document.body.classList.toggle("dark", dark);
  };
  keep(); // Gradio follows the system's theme by itself; the person's choice wins.
  new MutationObserver(keep).observe(document.body, { attributes: true, attributeFilter: ["class"] });
})();
