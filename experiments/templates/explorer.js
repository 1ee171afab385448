"use strict";
/* Points in parallel coordinates: a click on a line, or an arrow key, shows the schedule behind it. */
(function () {
  const { explorers, colours } = JSON.parse(document.getElementById("data").textContent);
  const WIDTH = 1060, HEIGHT = 380, TOP = 56, BOTTOM = 28, SIDE = 90;

  function element(name, attributes, text) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    if (text !== undefined) made.textContent = text;
    return made;
  }
  const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: Math.abs(value) < 1 ? 4 : 6 });

  function explore(place, data, index) {
    const svg = place.querySelector("svg"), told = place.querySelector(".told"), order = place.querySelector(".order");
    const chart = place.querySelector(".chart");
    chart.id = "explorer-" + index;
    const groups = [...new Set(data.points.map((point) => point.group))];
    const colour = (group) => colours[groups.indexOf(group) % colours.length];
    const low = data.axes.map((_, a) => Math.min(...data.points.map((point) => point.values[a])));
    const high = data.axes.map((_, a) => Math.max(...data.points.map((point) => point.values[a])));
    const x = (a) => SIDE + a * (WIDTH - 2 * SIDE) / (data.axes.length - 1);
    const y = (value, a) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value - low[a]) / (high[a] - low[a] || 1);
    const hidden = new Set();
    let chosen = -1;

    svg.setAttribute("viewBox", "0 0 " + WIDTH + " " + HEIGHT);
    data.axes.forEach(function (label, a) {
      const [name, unit] = label.split(/ (?=\[)/);
      svg.append(element("line", { class: "axis", x1: x(a), x2: x(a), y1: TOP, y2: HEIGHT - BOTTOM }),
        element("text", { class: "label", x: x(a), y: 14, "text-anchor": "middle" }, name),
        element("text", { class: "end", x: x(a), y: 30, "text-anchor": "middle" }, unit),
        element("text", { class: "end", x: x(a), y: 48, "text-anchor": "middle" }, number(high[a])),
        element("text", { class: "end", x: x(a), y: HEIGHT - 10, "text-anchor": "middle" }, number(low[a])));
      order.append(new Option(label, a));
    });
    const lines = data.points.map(function (point, p) {
      const d = "M" + point.values.map((value, a) => x(a).toFixed(1) + "," + y(value, a).toFixed(1)).join("L");
      const line = element("path", { class: "line", d, stroke: colour(point.group) }), hit = element("path", { class: "hit", d });
      hit.append(element("title", {}, point.group));
      hit.addEventListener("click", () => choose(p));
      svg.append(line, hit);
      return { line, hit };
    });
    const box = place.querySelector(".groups");
    groups.forEach(function (group) {
      const label = document.createElement("label"), tick = document.createElement("input"), key = document.createElement("span");
      tick.type = "checkbox"; tick.checked = true;
      key.className = "key"; key.style.color = colour(group);
      label.append(tick, key, group);
      tick.addEventListener("change", function () {
        if (tick.checked) hidden.delete(group); else hidden.add(group);
        data.points.forEach(function (point, p) {
          for (const part of Object.values(lines[p])) part.style.display = hidden.has(point.group) ? "none" : "";
        });
      });
      box.append(label);
    });

    function choose(p) {
      if (chosen >= 0) lines[chosen].line.classList.remove("chosen");
      chosen = p;
      const point = data.points[p];
      lines[p].line.classList.add("chosen");
      svg.append(lines[p].line, lines[p].hit);  // above all others
      told.textContent = point.group + ": " + data.axes.map(function (label, a) {
        const [name, unit] = label.split(/ (?=\[)/);
        return name + " " + number(point.values[a]) + " " + (unit || "").replace(/[\[\]]/g, "");
      }).join("; ") + (point.note ? "; " + point.note : "") + ".";
      const traces = Object.entries(point.series).map(function ([name, kw], s) {
        const hours = kw.map((_, k) => k * data.step_h).concat([kw.length * data.step_h]);
        const isLast = s === Object.keys(point.series).length - 1;
        return { name, x: hours, y: kw.concat(kw.slice(-1)), mode: "lines", yaxis: isLast ? "y2" : "y",
          line: { shape: "hv", width: 2, color: colours[isLast ? 0 : (s + 1) % colours.length], dash: isLast ? "solid" : ["solid", "dash", "dot"][s % 3] },
          hovertemplate: "%{y:.1f} kW" };
      });
      const end = data.step_h * Object.values(point.series)[0].length;
      charts.draw(chart.id, traces, { height: 420, xaxis: { title: { text: "clock hour", font: { size: 12 } }, range: [0, end], dtick: 2,
        gridcolor: charts.LINE, zeroline: false, anchor: "y2" }, yaxis: charts.valueAxis("power [kW]", { domain: [0.46, 1], nticks: 6 }),
        yaxis2: charts.valueAxis("exchange [kW]", { domain: [0, 0.36], nticks: 4 }) });
    }
    function step(by) {
      const a = Number(order.value);
      const shown = data.points.map((_, p) => p).filter((p) => !hidden.has(data.points[p].group))
        .sort((one, other) => data.points[one].values[a] - data.points[other].values[a] || one - other);
      if (!shown.length) return;
      const at = shown.indexOf(chosen);
      choose(shown[at < 0 ? 0 : (at + by + shown.length) % shown.length]);
    }
    place.querySelector(".previous").addEventListener("click", () => step(-1));
    place.querySelector(".next").addEventListener("click", () => step(1));
    svg.addEventListener("keydown", function (event) {
      const by = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      if (by) { event.preventDefault(); step(by); }
    });
    step(1);
  }
  document.querySelectorAll(".explorer").forEach((place, index) => explore(place, explorers[index], index));
})();
