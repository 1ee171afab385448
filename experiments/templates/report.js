"use strict";
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const startMs = Date.parse(data.start + "T00:00:00Z");
  const days = data.end_s / 86400;
  const { SOFT, LINE, config, valueAxis, layout, draw, note } = charts;
  const PRICE = "#D55E00";

  const instant = (s) => new Date(startMs + 1000 * s).toISOString().slice(0, 19);
  const steps = (n, every) => Array.from({ length: n + 1 }, (_, k) => instant(Math.min(k * every, data.end_s)));
  const closed = (values) => values.concat(values.length ? [values[values.length - 1]] : []);
  const stepLine = (values) => ({ x: steps(values.length, data.step_s), y: closed(values), line: { shape: "hv" } });

  function timeAxis(extra) {
    const hours = days <= 1 ? 2 : days <= 2 ? 6 : 24;
    const axis = { type: "date", range: [instant(0), instant(data.end_s)], gridcolor: LINE, linecolor: LINE, zeroline: false,
      tickformat: days <= 2 ? "%H:%M" : "%a %d %b", ticks: "outside", tickcolor: LINE,
      hoverformat: days <= 1 ? "%H:%M" : "%a %d %b, %H:%M" };
    if (days <= 14) { axis.dtick = hours * 3600000; axis.tick0 = instant(0); }
    axis.title = { text: days <= 1 ? "clock hour of " + data.start : "clock time", font: { size: 12 } };
    return Object.assign(axis, extra || {});
  }

  function balance() {
    const section = document.getElementById("balance");
    const notes = [];
    if (data.merged > 1) notes.push("Each point is a mean over " + data.merged / 4 + " h.");
    if (data.balance_note) notes.push(data.balance_note);
    document.getElementById("balance-note").textContent = notes.join(" ");
    data.balance.forEach(function (region, i) {
      const title = document.createElement("h3"), chart = document.createElement("div"), block = document.createElement("div");
      title.textContent = region.region; chart.className = "chart"; chart.id = "balance-" + i;
      block.className = "block";
      block.append(title, chart);
      section.append(block);
      const named = {};
      const traces = region.layers.map(function (layer) {
        const first = !named[layer.group];
        named[layer.group] = true;
        return Object.assign(stepLine(layer.kw), { name: layer.group, legendgroup: layer.group, showlegend: first, mode: "lines",
          stackgroup: layer.supplies ? "supply" : "use", fillcolor: layer.colour,
          line: { shape: "hv", width: 0, color: layer.colour }, hovertemplate: layer.name + " %{y:.1f} kW<extra></extra>" });
      });
      draw(chart.id, traces, { xaxis: timeAxis(), yaxis: valueAxis("power [kW]") });
    });
  }

  function fleet() {
    const traces = [];
    document.getElementById("fleet-note").textContent = data.fleet_note;
    data.fleet.forEach(function (region) {
      const colour = region.colour;
      [["charge_kw", "one", true], ["discharge_kw", "two", false]].forEach(function (way) {
        if (!way[2] && !region.discharge_kw.some((kw) => kw < 0)) return;
        traces.push(Object.assign(stepLine(region[way[0]]), { name: region.region, legendgroup: region.region, showlegend: way[2],
          mode: "lines", stackgroup: way[1], fillcolor: colour, line: { shape: "hv", width: 0, color: colour },
          hovertemplate: "%{y:.1f} kW" + (way[2] ? " in" : " out") }));
      });
    });
    traces.push(Object.assign(stepLine(data.price), { name: "buying price", mode: "lines", yaxis: "y2",
      line: { shape: "hv", width: 1.5, color: PRICE }, hovertemplate: "%{y:.3f} " + data.currency + "/kWh" }));
    draw("fleet", traces, { xaxis: timeAxis(), yaxis: valueAxis("cars' power [kW]", { domain: [0, 0.72] }),
      yaxis2: valueAxis(data.currency + "/kWh", { domain: [0.8, 1], nticks: 4 }) });
  }

  /* Outline of a band in steps; where values are missing it is open. */
  function outline(low, high) {
    const x = [], y = [];
    for (let first = 0; first < low.length; first++) {
      if (low[first] === null) continue;
      let end = first;
      while (end < low.length && low[end] !== null) end++;
      const top = [], bottom = [];
      for (let k = first; k < end; k++) for (const at of [k, k + 1]) {
        const time = instant(Math.min(at * data.step_s, data.end_s));
        top.push([time, high[k]]); bottom.unshift([time, low[k]]);
      }
      for (const point of top.concat(bottom)) { x.push(point[0]); y.push(point[1]); }
      x.push(null); y.push(null);
      first = end;
    }
    return { x, y };
  }
  /* Steps as a line that ends where values are missing, after the whole last step. */
  function brokenLine(values) {
    if (!values.includes(null)) return stepLine(values);
    const x = [], y = [], at = (k) => instant(Math.min(k * data.step_s, data.end_s));
    values.forEach(function (value, k) {
      if (value === null) return;
      x.push(at(k)); y.push(value);
      if (k + 1 === values.length || values[k + 1] === null) { x.push(at(k + 1), at(k + 1)); y.push(value, null); }
    });
    return { x, y, line: { shape: "hv" } };
  }
  const limit = (y, text, above) => [
    { type: "line", xref: "paper", x0: 0, x1: 1, yref: "y", y0: y, y1: y, line: { color: data.feeder.colours.over, width: 1.5, dash: "dash" } },
    { xref: "paper", x: 1, xanchor: "right", yref: "y", y, yanchor: above ? "bottom" : "top", showarrow: false, text, bgcolor: "rgba(255,255,255,0.7)", borderpad: 0,
      font: { size: 12, color: data.feeder.colours.over } }];

  function feederVoltage() {
    const f = data.feeder, c = f.colours;
    const line = (name, values, style, more) => Object.assign(brokenLine(values), { name, mode: "lines", line: Object.assign({ shape: "hv" }, style),
      hovertemplate: "%{y:.4f} p.u.%{text}", text: "" }, more || {});
    const at = (names) => f.low_pu.includes(null) ? "" : closed(names.map((name) => ", bus " + name));
    const traces = [
      Object.assign(outline(f.low_pu, f.high_pu), { name: "all buses", mode: "lines", fill: "toself", hoverinfo: "skip",
        line: { width: 0, color: c.band }, fillcolor: "rgba(86,180,233,0.3)" }),
      line("highest", f.high_pu, { width: 0, color: c.band }, { showlegend: false, text: at(f.high_bus) }),
      line("median", f.median_pu, { width: 1.6, color: c.middle })];
    if (f.worst) traces.push(line("worst: bus " + f.worst.bus, f.worst.pu, { width: 1.3, color: charts.INK }));
    traces.push(line("lowest", f.low_pu, { width: 0, color: c.band }, { showlegend: false, text: at(f.low_bus) }));
    const values = f.low_pu.concat(f.high_pu, f.limits_pu).filter((value) => value !== null);
    const low = Math.min.apply(null, values), high = Math.max.apply(null, values), margin = 0.08 * (high - low);
    const marks = [limit(f.limits_pu[0], "limit " + f.limits_pu[0], false), limit(f.limits_pu[1], "limit " + f.limits_pu[1], true)];
    draw("feeder-voltage", traces, { xaxis: timeAxis(), yaxis: valueAxis("voltage [p.u.]", { rangemode: "normal", range: [low - margin, high + margin],
      zeroline: false, tickformat: high - low > 0.03 ? ".2f" : ".3f" }), shapes: marks.map((mark) => mark[0]), annotations: marks.map((mark) => mark[1]) });
  }

  function feederLoading() {
    const f = data.feeder, [line, words] = limit(100, "rating", true);
    const traces = f.loading.map((branch) => Object.assign(brokenLine(branch.percent), { name: branch.branch, mode: "lines",
      line: { shape: "hv", width: 1.5, color: branch.colour }, hovertemplate: "%{y:.1f} %" }));
    traces.push(Object.assign(outline(f.loss_kw.map((kw) => kw === null ? null : 0), f.loss_kw), { mode: "lines", yaxis: "y2", fill: "toself",
      showlegend: false, hoverinfo: "skip", line: { width: 0, color: f.colours.band }, fillcolor: "rgba(86,180,233,0.5)" }));
    traces.push(Object.assign(brokenLine(f.loss_kw), { name: "losses", mode: "lines", yaxis: "y2", showlegend: false,
      line: { shape: "hv", width: 0, color: f.colours.band }, hovertemplate: "%{y:.1f} kW" }));
    draw("feeder-loading", traces, { xaxis: timeAxis({ anchor: "y2" }), yaxis: valueAxis("loading [%]", { domain: [0.36, 1] }),
      yaxis2: valueAxis("losses [kW]", { domain: [0, 0.26], nticks: 4 }), shapes: [line], annotations: [words] });
  }

  function feederMap() {
    const f = data.feeder, m = f.map, c = f.colours;
    const scale = (colours) => colours.map((colour, i) => [i / (colours.length - 1), colour]);
    const bar = (text, y) => ({ title: { text, side: "right", font: { size: 12 } }, len: 0.5, y, yanchor: "bottom", thickness: 14, outlinewidth: 0, x: 1.01 });
    const byColour = {}, traces = [];
    m.branches.forEach(function (branch) { (byColour[branch.colour] = byColour[branch.colour] || []).push(branch); });
    Object.keys(byColour).forEach(function (colour) {
      const x = [], y = [];
      byColour[colour].forEach(function (branch) { for (const end of branch.ends) { x.push(end[0]); y.push(end[1]); } x.push(null); y.push(null); });
      traces.push({ x, y, mode: "lines", line: { color: colour, width: colour === c.over ? 7 : 5 }, hoverinfo: "skip", showlegend: false });
    });
    const legend = (name, more) => traces.push(Object.assign({ x: [null], y: [null], name, hoverinfo: "skip" }, more));
    const middle = (k) => m.branches.map((branch) => (branch.ends[0][k] + branch.ends[1][k]) / 2);
    traces.push({ x: middle(0), y: middle(1), mode: "markers", showlegend: false, text: m.branches.map((branch) => branch.says),
      hovertemplate: "%{text}<extra></extra>", marker: { size: 12, opacity: 0, color: m.branches.map((branch) => branch.percent), cmin: 0, cmax: 100,
        colorscale: scale(c.loading), showscale: true, colorbar: bar("loading [%]", 0.52) } });
    const symbol = (bus) => bus.is_above ? (bus.is_below ? "diamond" : "triangle-up") : bus.is_below ? "triangle-down" : "circle";
    const many = m.buses.length > 60, x = m.buses.map((bus) => bus.at[0]), y = m.buses.map((bus) => bus.at[1]);
    const size = many ? 8 : 13, source = m.buses.filter((bus) => bus.is_source)[0];
    traces.push({ x: [source.at[0]], y: [source.at[1]], mode: "markers", name: "source", hoverinfo: "skip",
      marker: { symbol: "square-open", size: size + 6, color: charts.INK, line: { width: 1.5 } } });
    traces.push({ x, y, mode: "markers+text", showlegend: false, text: m.buses.map((bus) => many && !bus.region ? "" : bus.bus), textposition: "top center",
      textfont: { size: 11 }, customdata: m.buses.map((bus) => bus.says), hovertemplate: "%{customdata}<extra></extra>",
      marker: { opacity: 1, size: m.buses.map((bus) => symbol(bus) === "circle" ? size : size + 4), symbol: m.buses.map(symbol), line: { width: 1, color: charts.INK },
        color: m.buses.map((bus) => bus.lowest_pu), cmin: m.voltage_range[0], cmax: m.voltage_range[1], colorscale: scale(c.voltage), showscale: true,
        colorbar: Object.assign(bar("voltage [p.u.]", -0.04), { tickformat: ".2f", nticks: 6 }) } });
    [["circle", "within the band"], ["triangle-up", "above it at times"], ["triangle-down", "below it at times"], ["diamond", "above and below it"]].forEach(
      function (kind) { if (m.buses.some((bus) => symbol(bus) === kind[0])) legend(kind[1], { mode: "markers", marker: { symbol: kind[0] + "-open", size: 11, color: charts.INK } }); });
    if (byColour[c.over]) legend("above its rating", { mode: "lines", line: { color: c.over, width: 7 } });
    if (byColour[c.unrated]) legend("without rating or flow", { mode: "lines", line: { color: c.unrated, width: 5 } });
    const spread = (values) => Math.max.apply(null, values) - Math.min.apply(null, values);
    const height = m.has_coordinates ? Math.min(Math.max(240 + 850 * spread(y) / Math.max(spread(x), 1e-9), 320), 900) : Math.min(230 + 95 * spread(y), 1200);
    document.getElementById("feeder-map").style.height = height + "px";
    const bare = { visible: false, zeroline: false };
    draw("feeder-map", traces, { hovermode: "closest", xaxis: bare, margin: { l: 16, r: 110, t: 12, b: 16 },
      yaxis: Object.assign({}, bare, m.has_coordinates ? { scaleanchor: "x" } : {}),
      annotations: m.buses.filter((bus) => bus.region).map((bus) => ({ x: bus.at[0], y: bus.at[1], text: "<b>" + bus.region + "</b>", showarrow: false,
        textangle: 25, xanchor: "left", yanchor: "top", xshift: -4, yshift: -6, font: { size: 11 } })) });
  }

  function feeder() {
    if (!data.feeder) return;
    feederMap(); feederVoltage(); feederLoading();
  }

  function domain() {
    const d = data.domain, x = steps(d.energy_kwh.length, data.step_s).slice(0, -1);
    const line = (name, y, style, more) => Object.assign({ x, y, name, mode: "lines", line: Object.assign({ shape: "hv" }, style),
      hovertemplate: "%{y:.0f} kWh" }, more || {});
    draw("domain", [
      line("at least", d.lower_kwh, { width: 1, color: "#56B4E9" }),
      line("at most", d.upper_kwh, { width: 1, color: "#56B4E9" }, { fill: "tonexty", fillcolor: "rgba(86,180,233,0.18)" }),
      line("stored", d.energy_kwh, { width: 2, color: "#0072B2" }),
      line("cars plugged in", d.n_plugged, { width: 1.2, color: SOFT }, { yaxis: "y2", hovertemplate: "%{y:.0f}" }),
    ], { xaxis: timeAxis(), yaxis: valueAxis("energy [kWh]", { domain: [0, 0.72] }),
      yaxis2: valueAxis("cars", { domain: [0.8, 1], nticks: 4 }) });
  }

  function decisions() {
    const d = data.decisions;
    if (!d.at_s.length) { note("decisions", "This run has no decisions."); return; }
    const x = d.at_s.map(instant), gaps = d.gap.some((gap) => gap !== null);
    const traces = [{ x, y: d.ms, name: "time", mode: "markers", marker: { size: 5, color: "#0072B2" }, text: d.status,
      hovertemplate: "%{y:.1f} ms, %{text}" }];
    const extra = { xaxis: timeAxis({ anchor: gaps ? "y2" : "y" }), showlegend: false,
      yaxis: valueAxis("time [ms]", gaps ? { domain: [0.56, 1] } : {}) };
    if (gaps) {
      traces.push({ x, y: d.gap.map((gap) => gap === null ? null : Math.max(Math.abs(gap), 1e-12)), name: "gap", yaxis: "y2", mode: "markers",
        marker: { size: 5, color: "#D55E00" }, hovertemplate: "gap %{y:.1e}" });
      extra.yaxis2 = valueAxis("relative gap (0 at 10<sup>-12</sup>)", { type: "log", domain: [0, 0.44], rangemode: "normal", exponentformat: "power",
        range: [-12.5, Math.max(-3, Math.log10(Math.max.apply(null, d.gap.map((gap) => Math.abs(gap) || 1e-12))) + 0.5)], dtick: 3 });
    } else {
      document.getElementById("decisions-note").textContent = "Each point is one decision and how long it took; this policy solves no program, so there is no gap.";
    }
    draw("decisions", traces, extra);
  }

  function carTraces(car) {
    const traces = [], seen = {}, stays = [];
    car.rows.forEach(function (row) {
      const last = stays[stays.length - 1];
      if (last && last[2] === row[2] && last[3] === row[3]) last[1] = row[1];
      else stays.push(row.slice());
    });
    stays.forEach(function (row) {
      const place = row[2], name = place >= 0 ? data.regions[place].name : place === -1 ? "driving" : "away";
      const colour = place >= 0 ? data.regions[place].colour : place === -1 ? "#BDBDBD" : "#EEEEEE";
      traces.push({ x: [instant(row[0]), instant(row[1]), instant(row[1]), instant(row[0])], y: [0, 0, 1, 1], fill: "toself", mode: "none", name,
        legendgroup: name, showlegend: !seen[name], fillcolor: colour, opacity: place >= 0 && !row[3] ? 0.45 : 1, yaxis: "y", hoveron: "fills",
        text: name + (place >= 0 ? (row[3] ? ", plugged in" : ", not plugged in") : ""), hoverinfo: "text" });
      seen[name] = true;
    });
    const bound = (line, more) => Object.assign({ x: line[0].map(instant), y: line[1], mode: "lines", yaxis: "y2",
      line: { width: 1, color: "#56B4E9" }, hovertemplate: "%{y:.2f} kWh" }, more);
    traces.push(bound(car.lower, { name: "needed at least" }));
    traces.push(bound(car.upper, { name: "possible at most", fill: "tonexty", fillcolor: "rgba(86,180,233,0.18)" }));
    const times = [], energy = [], power = [];
    car.rows.forEach(function (row) { times.push(instant(row[0]), instant(row[1])); energy.push(row[5], row[6]); power.push(row[4], row[4]); });
    traces.push({ x: times, y: energy, mode: "lines", name: "stored", yaxis: "y2", line: { width: 2, color: "#0072B2" }, hovertemplate: "%{y:.2f} kWh" });
    traces.push({ x: times, y: power, mode: "lines", name: "power", yaxis: "y3", fill: "tozeroy", fillcolor: "rgba(0,158,115,0.35)",
      line: { width: 1.5, color: "#009E73", shape: "linear" }, hovertemplate: "%{y:+.2f} kW" });
    traces.push(Object.assign(stepLine(data.price), { mode: "lines", name: "buying price", yaxis: "y4",
      line: { shape: "hv", width: 1.5, color: PRICE }, hovertemplate: "%{y:.3f} " + data.currency + "/kWh" }));
    return traces;
  }
  const clock = (s) => (s >= 86400 ? Math.floor(s / 86400) + "+" : "") + new Date(1000 * s).toISOString().slice(11, 16);
  const told = data.explanations, EVERY = 900;
  let shownCar = 0, shownStep = 0;

  function why(step) {
    const explained = told.cars[shownCar] || [];
    document.getElementById("why").hidden = !explained.length;
    if (!explained.length) return;
    shownStep = Math.min(Math.max(step, 0), explained.length - 1);
    document.getElementById("when").selectedIndex = shownStep;
    document.getElementById("reasons").replaceChildren(...explained[shownStep].map(function (i) {
      const item = document.createElement("li");
      item.textContent = told.sentences[i];
      return item;
    }));
    const x0 = instant(shownStep * EVERY), x1 = instant((shownStep + 1) * EVERY);
    Plotly.relayout("one-car", { shapes: [{ type: "rect", xref: "x", yref: "paper", x0, x1, y0: 0, y1: 1, layer: "above",
      line: { width: 1, color: SOFT }, fillcolor: "rgba(89,99,110,0.18)" }] });
  }

  function whyByClick() {
    const plot = document.getElementById("one-car");
    let downX = null;
    plot.addEventListener("pointerdown", function (event) { downX = event.clientX; }, true);
    window.addEventListener("pointerup", function (event) {
      const isClick = downX !== null && Math.abs(event.clientX - downX) < 4;  /* else the chart was zoomed or moved */
      downX = null;
      const size = plot._fullLayout._size, box = plot.getBoundingClientRect();
      const x = event.clientX - box.left - size.l, y = event.clientY - box.top - size.t;
      if (!isClick || x < 0 || x > size.w || y < 0 || y > size.h) return;
      const step = Math.floor((plot._fullLayout.xaxis.p2c(x) - startMs) / 1000 / EVERY);
      if (step >= 0 && step < (told.cars[shownCar] || []).length) why(step);
    }, true);
    const select = document.getElementById("when");
    for (let s = 0; s < told.end_s; s += EVERY) select.add(new Option(clock(s)));
    select.addEventListener("change", () => why(select.selectedIndex));
    document.getElementById("earlier").addEventListener("click", () => why(shownStep - 1));
    document.getElementById("later").addEventListener("click", () => why(shownStep + 1));
  }

  function showCar(index) {
    const car = data.cars[index];
    Plotly.react("one-car", carTraces(car), layout({ xaxis: timeAxis({ anchor: "y4" }), hovermode: "x unified",
      yaxis: { domain: [0.93, 1], range: [0, 1], showticklabels: false, showgrid: false, zeroline: false, fixedrange: true,
        title: { text: "place", font: { size: 12 } } },
      yaxis2: valueAxis("energy [kWh]", { domain: [0.5, 0.88], range: [0, car.kwh], rangemode: "normal" }),
      yaxis3: valueAxis("power [kW]", { domain: [0.19, 0.45] }),
      yaxis4: valueAxis(data.currency + "/kWh", { domain: [0, 0.14], nticks: 4 }),
    }), config);
    shownCar = index;
    why(shownStep);
  }
  function chooser() {
    const select = document.getElementById("car");
    if (!data.cars.length) {
      document.getElementById("chooser").remove();
      note("one-car", "This run has no cars.");
      return;
    }
    data.cars.forEach(function (car, i) { select.add(new Option(car.id + " (" + car.chain + ")", i)); });
    const show = (i) => { select.selectedIndex = (i + data.cars.length) % data.cars.length; showCar(select.selectedIndex); };
    select.addEventListener("change", () => showCar(select.selectedIndex));
    document.getElementById("previous").addEventListener("click", () => show(select.selectedIndex - 1));
    document.getElementById("next").addEventListener("click", () => show(select.selectedIndex + 1));
    const wanted = /^#car-(\d+)$/.exec(window.location.hash);
    const at = wanted ? data.cars.findIndex((car) => car.id === Number(wanted[1])) : 0;
    show(Math.max(at, 0));
    whyByClick();
    why(shownStep);
  }

  feeder(); balance(); fleet(); domain(); decisions(); chooser();
})();
