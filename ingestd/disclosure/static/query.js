// Looks decisions up in the list beside this page; without it the months below lead to the same.
"use strict";
(async () => {
  const form = document.getElementById("query");
  const { decisions } = await (await fetch("decisions.json")).json();
  const words = document.getElementById("words");
  const list = document.getElementById("results");
  const told = document.getElementById("found");
  const most = 50;
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  words.addEventListener("input", () => {
    const asked = words.value.trim().normalize("NFKC").toLowerCase();
    const found = asked ? decisions.filter((one) => Object.values(one).some((text) => text.normalize("NFKC").toLowerCase().includes(asked))) : [];
    list.replaceChildren(...found.slice(0, most).map((one) => {
      const item = document.createElement("li");
      const link = document.createElement("a");
      link.href = `${one.made.slice(0, 7)}.html#${one.id}`;
      link.textContent = [one.case, one.party, one.title, one.made].filter(Boolean).join(" · ");
      item.append(link);
      return item;
    }));
    told.textContent = asked ? `${found.length} 件 found` : "";
  });
})();
