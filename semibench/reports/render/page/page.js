"use strict";
// Without this script the page is whole: it only adds sorting to headings and shows the form that filters rows.
(() => {
  const all = (selector, inside = document) => [...inside.querySelectorAll(selector)];
  const status = document.getElementById("status");

  const valueOf = (row, column) => {
    const cell = row.cells[column];
    const stored = cell.dataset.value;
    if (stored !== undefined) return stored === "" ? null : Number(stored);
    return cell.textContent.trim().toLowerCase();
  };

  const compare = (one, other) => (typeof one === "number" ? one - other : one < other ? -1 : Number(one > other));

  const sort = (table, heading, column) => {
    const body = table.tBodies[0];
    const rows = [...body.rows].map((row) => ({ row, value: valueOf(row, column), place: Number(row.dataset.place) }));
    const known = rows.filter((one) => one.value !== null);
    const isNumeric = known.some((one) => typeof one.value === "number");
    const former = heading.getAttribute("aria-sort");
    const order = former === "descending" || (former === null && !isNumeric) ? "ascending" : "descending";
    const sign = order === "ascending" ? 1 : -1;
    known.sort((one, other) => sign * compare(one.value, other.value) || one.place - other.place);
    const unknown = rows.filter((one) => one.value === null).sort((one, other) => one.place - other.place);
    all("[aria-sort]", table).forEach((other) => other.removeAttribute("aria-sort"));
    heading.setAttribute("aria-sort", order);
    body.append(...[...known, ...unknown].map((one) => one.row)); // what has no value stands last, either way
    status.textContent = `Sorted by ${heading.textContent.trim()}, ${order}.`;
  };

  for (const table of all("table.results")) {
    [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
    [...table.tHead.rows[0].cells].forEach((heading, column) => {
      if (heading.dataset.fixed !== undefined) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...heading.childNodes);
      button.addEventListener("click", () => sort(table, heading, column));
      heading.append(button);
    });
  }

  const form = document.getElementById("filter");
  const sections = all("section[data-protocol]").map((section) => ({
    section,
    rows: all("table.results > tbody > tr", section).map((row) => ({
      row,
      division: row.dataset.division,
      text: row.textContent.toLowerCase(),
      others: row.dataset.row === undefined ? [] : all(`[data-of="${row.dataset.row}"]`, section),
    })),
  }));

  const filter = () => {
    const words = form.elements.text.value.toLowerCase().split(/\s+/).filter(Boolean);
    const protocol = form.elements.protocol.value;
    const division = form.elements.division.value;
    let shown = 0;
    let total = 0;
    for (const { section, rows } of sections) {
      const isChosen = protocol === "" || section.dataset.protocol === protocol;
      let visible = 0;
      for (const { row, text, others, ...its } of rows) {
        const fits = (division === "" || its.division === division) && words.every((word) => text.includes(word));
        row.hidden = !fits;
        others.forEach((other) => { other.hidden = !fits; });
        visible += Number(isChosen && fits);
      }
      section.hidden = visible === 0;
      shown += visible;
      total += rows.length;
    }
    const isFiltered = words.length > 0 || protocol !== "" || division !== "";
    all("[data-whole]").forEach((part) => { part.hidden = isFiltered; });
    document.getElementById("count").textContent = isFiltered ? `${shown} of ${total} rows` : `${total} rows`;
  };

  form.hidden = false;
  form.addEventListener("input", filter);
  form.addEventListener("reset", () => setTimeout(filter));
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
})();
