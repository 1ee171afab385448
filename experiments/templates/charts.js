"use strict";
/* What the charts of all pages share. */
const charts = (function () {
  const SOFT = "#59636e", LINE = "#d9dee3", INK = "#1f2328";
  const config = { responsive: true, displayModeBar: false };

  const valueAxis = (title, extra) => Object.assign({ title: { text: title, font: { size: 12 } }, gridcolor: LINE,
    zerolinecolor: "#8c959f", zerolinewidth: 1, linecolor: LINE, rangemode: "tozero" }, extra || {});
  function layout(extra) {
    return Object.assign({ margin: { l: 64, r: 16, t: 12, b: 48 }, paper_bgcolor: "#fff", plot_bgcolor: "#fff",
      font: { family: "system-ui, -apple-system, Segoe UI, Roboto, Arial, sans-serif", size: 13, color: INK },
      hovermode: "x unified", hoverlabel: { font: { size: 12 } },
      legend: { orientation: "h", y: 1.02, yanchor: "bottom", x: 0, font: { size: 12 }, traceorder: "normal" } }, extra);
  }
  function draw(id, traces, extra) { Plotly.react(id, traces, layout(extra), config); }
  function note(id, text) { const p = document.createElement("p"); p.textContent = text; document.getElementById(id).replaceWith(p); }
  return { SOFT, LINE, INK, config, valueAxis, layout, draw, note };
})();
