// The built pages as one page to print: ids and links are made unique, folded parts are opened, contents stand in front.
// Evaluated by scripts/pdf.py in an open page of the book with [{name, address, part, number, title, html}].
// Returns the names of the places that the contents link to.
(pages) => {
  const make = (tag, css, text) => {
    const node = document.createElement(tag);
    if (css) node.className = css;
    if (text != null) node.textContent = text;
    return node;
  };
  const known = new Map(pages.map((page) => [page.address, page.name]));
  const place = (name, id) => (id ? `${name}--${id}` : name);
  const target = (address, page) => {
    const [path, id] = new URL(address, page.address).href.split("#");
    return known.has(path) ? `#${place(known.get(path), decodeURIComponent(id ?? ""))}` : null;
  };

  function rewritten(page) {
    const parsed = new DOMParser().parseFromString(page.html, "text/html");
    const article = document.importNode(parsed.querySelector("article.hs-text"), true);
    for (const node of article.querySelectorAll("[id]")) node.id = place(page.name, node.id);
    for (const node of article.querySelectorAll("*")) {
      for (const { name, value } of [...node.attributes]) {
        if (value.includes("url(#")) node.setAttribute(name, value.replace(/url\(#([^)]+)\)/g, (_, id) => `url(#${place(page.name, id)})`));
        if (name === "aria-labelledby" || name === "aria-describedby" || name === "for") {
          node.setAttribute(name, value.split(/\s+/).map((id) => place(page.name, id)).join(" "));
        }
        if (name === "src" && node.localName === "img") node.setAttribute(name, new URL(value, page.address).href);
        if (name === "name" && node.localName === "details") node.removeAttribute(name);  // of a group only one may be open
        if (name.endsWith("href") && node.localName !== "a") node.setAttribute(name, value.replace(/^#/, `#${page.name}--`));
      }
    }
    for (const link of article.querySelectorAll("a[href]")) {
      const inside = target(link.getAttribute("href"), page);
      if (inside) link.setAttribute("href", inside);
      else if (!/^(https?|mailto):/.test(link.getAttribute("href"))) link.removeAttribute("href");  // the listings of code are not printed
    }
    for (const box of article.querySelectorAll("details")) box.open = true;
    for (const label of article.querySelectorAll(".hs-solution__summary")) label.textContent = label.textContent.replace(/^Show a s/, "S");
    for (const gone of article.querySelectorAll(".headerlink, script")) gone.remove();
    const section = make("section", "hs-sheet");
    section.id = page.name;
    section.style.page = page.name;
    if (page.number) section.append(make("p", "hs-sheet__number", `${page.number} · ${page.part}`));
    section.append(article);
    return section;
  }

  const anchors = [];
  function entry(label, id, css) {
    const link = make("a", css);
    link.href = `#${id}`;
    link.append(make("span", "", label), make("span", "hs-sheets__page"));
    link.lastChild.dataset.place = id;
    anchors.push(id);
    return link;
  }
  const contents = make("nav", "hs-sheets");
  contents.append(make("h1", "", "Contents"));
  const sections = [];
  const heads = [];
  let part = "";
  for (const page of pages) {
    const section = rewritten(page);
    sections.push(section);
    if (page.part && page.part !== part) contents.append(make("p", "hs-sheets__part", part = page.part));
    contents.append(entry(page.number ? `${page.number}  ${page.title}` : page.title, page.name, "hs-sheets__title"));
    if (page.number) {
      for (const head of section.querySelectorAll("article > section > section > h2")) {
        contents.append(entry(head.textContent, head.parentElement.id, "hs-sheets__section"));
      }
    }
    heads.push(`@page ${page.name} { @top-right { content: ${JSON.stringify(page.number ? `${page.number} ${page.title}` : page.title)}; } }`);
  }
  for (const sheet of document.head.querySelectorAll("link[rel=stylesheet]")) sheet.remove();
  const style = make("style", "", heads.join("\n"));
  const cover = make("section", "hs-cover");
  cover.append(make("h1", "", "Head Start"), make("p", "", "A measured course on transfer learning"), make("small"));
  cover.lastChild.textContent = document.querySelector(".hs-foot p")?.textContent ?? "";
  document.body.className = "hs-printed";
  document.body.replaceChildren(style, ...(pages.length > 1 ? [cover] : []), contents, ...sections);
  document.documentElement.dataset.theme = "light";
  document.documentElement.classList.remove("hs-js");
  return anchors;
}
