"use strict";
// Sorts a table by the column whose title is clicked. Without scripts the tables are as they were measured.
for (const table of document.querySelectorAll("table.sortable")) {
  const titles = [...table.tHead.rows[0].cells];
  titles.forEach((title, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...title.childNodes);
    title.append(button);
    button.addEventListener("click", () => {
      const descending = title.getAttribute("aria-sort") === "ascending";
      const key = (row) => row.cells[index].dataset.key;
      const numeric = title.classList.contains("number");
      const rows = [...table.tBodies[0].rows].sort((a, b) => {
        const [one, other] = [key(a), key(b)];
        if (one === "" || other === "") return (one === "") - (other === "");
        const order = numeric ? Number(one) - Number(other) : one.localeCompare(other);
        return descending ? -order : order;
      });
      titles.forEach((other) => other.removeAttribute("aria-sort"));
      title.setAttribute("aria-sort", descending ? "descending" : "ascending");
      table.tBodies[0].append(...rows);
    });
  });
}
