"""How the page looks, light and dark, and what little it does."""

CLASSES = 8
"""Steps of the colour scale of a heat map, h0 to h7."""

STYLE = """
:root{--paper:#fff;--card:#f5f6f8;--ink:#20242b;--faint:#5b6470;--line:#d9dde3;--one:#2f6fb5;--two:#c4622d;--alarm:#c2182f;--alarm-paper:#fdecee;
--h0:#eaf1f8;--h1:#cfe0f0;--h2:#a9c9e4;--h3:#7fadd5;--h4:#558fc3;--h5:#346fa8;--h6:#1f4f82;--h7:#10315a;color-scheme:light dark}
@media (prefers-color-scheme:dark){:root{--paper:#14171c;--card:#1d2128;--ink:#e6e9ee;--faint:#a3acb8;--line:#343a44;--one:#6aa9e6;--two:#f0995f;
--alarm:#ff7d8c;--alarm-paper:#3a1a20;--h0:#1b2734;--h1:#203a52;--h2:#265070;--h3:#2f6b93;--h4:#4289b3;--h5:#67a9cc;--h6:#9acce2;--h7:#d8f0f8}}
*{box-sizing:border-box}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;overflow-wrap:anywhere}
main{max-width:70rem;margin:0 auto;padding:1.5rem 1rem 4rem}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 .5rem}
h2{font-size:1.2rem;margin:2.5rem 0 .5rem}
h3{font-size:1rem;margin:1rem 0 .25rem}
p{margin:.4rem 0;max-width:46rem}
.faint{color:var(--faint)}
.alarm{background:var(--alarm-paper);border-left:4px solid var(--alarm);padding:.6rem .9rem;margin:1rem 0;max-width:none}
dl.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(10.5rem,1fr));gap:.6rem;margin:1rem 0}
dl.cards div{background:var(--card);border-radius:.5rem;padding:.6rem .8rem}
dl.cards dt{color:var(--faint);font-size:.85rem}
dl.cards dd{margin:0;font-size:1.15rem;font-variant-numeric:tabular-nums}
.pair{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),1fr));gap:1.5rem}
.pair h2{margin-bottom:.25rem}
.scroll{overflow-x:auto;max-width:100%;margin:.5rem 0 1rem}
.scroll:focus-visible,summary:focus-visible,button:focus-visible{outline:2px solid var(--one);outline-offset:2px}
svg{display:block;width:100%;height:auto}
svg text{fill:var(--ink);font-size:12px;font-family:inherit}
svg .faint,svg .tick{fill:var(--faint)}
svg .grid{stroke:var(--line);stroke-width:1}
svg .axis{stroke:var(--faint);stroke-width:1}
svg .one{fill:var(--one)}svg .two{fill:var(--two)}
svg .dot{fill-opacity:.75}
svg .none{fill:none;stroke:var(--line)}
.h0{fill:var(--h0)}.h1{fill:var(--h1)}.h2{fill:var(--h2)}.h3{fill:var(--h3)}.h4{fill:var(--h4)}.h5{fill:var(--h5)}.h6{fill:var(--h6)}.h7{fill:var(--h7)}
table{border-collapse:collapse;font-size:.9rem;font-variant-numeric:tabular-nums;min-width:100%}
caption{text-align:left;color:var(--faint);padding:.25rem 0}
th,td{padding:.3rem .6rem;border-bottom:1px solid var(--line);text-align:right;white-space:nowrap}
th{font-weight:600}
thead th{white-space:normal;overflow-wrap:normal;vertical-align:bottom;min-width:4.5rem}
th:first-child,td:first-child,.words{text-align:left}
tbody th{font-weight:400}
th button{all:unset;cursor:pointer;font-weight:600}
th[aria-sort] button::after{content:" \\2195";color:var(--faint)}
th[aria-sort=ascending] button::after{content:" \\2191";color:inherit}
th[aria-sort=descending] button::after{content:" \\2193";color:inherit}
details{margin:1rem 0}
summary{cursor:pointer;font-weight:600}
.key{display:inline-block;width:.8em;height:.8em;border-radius:2px;margin-right:.35em}
.key.one{background:var(--one)}.key.two{background:var(--two)}
@media print{details>*{display:block}}
"""

SCRIPT = """
for (const table of document.querySelectorAll("table[data-sortable]")) {
  const body = table.tBodies[0], heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent : Number(cell.dataset.value);
  };
  const compare = (a, b) => typeof a === "number" ? a - b : a.localeCompare(b, "en", {numeric: true});
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.append(...head.childNodes);
    head.append(button);
    head.setAttribute("aria-sort", "none");
    button.addEventListener("click", () => {
      const now = head.getAttribute("aria-sort"), down = now === "ascending" || now === "none" && column > 0;
      heads.forEach(other => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].sort((a, b) => compare(value(a, column), value(b, column)));
      body.append(...(down ? rows.reverse() : rows));
    });
  });
}
"""
"""Makes the table of all layers sortable; without it everything still reads."""
