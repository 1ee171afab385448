(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { SOFT, LINE, INK, valueAxis, draw } = charts;
  const PALETTE = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#3B3B3B", "#8C6D1F"];
  const SYMBOLS = ["circle", "square", "triangle-up", "diamond", "cross", "star", "x", "pentagon"];
  const DASHES = ["solid", "dash", "dot", "dashdot", "longdash", "longdashdot"];
  const PAIR = "#5B4B8A", TARGET = "#D55E00", MINUS = "\u2212", NONE = "\u2013";
  const POLICIES = data.series.map((one, k) => k).filter((k) => !data.series[k].pair);
  const PAIRS = data.series.map((one, k) => k).filter((k) => data.series[k].pair);
  const chosen = { figure: 0, cell: 0, pair: PAIRS.length ? PAIRS[0] : null, series: 0 };
  const at = (id) => document.getElementById(id);
  const colour = (k) => data.series[k].pair ? PAIR : PALETTE[k % PALETTE.length];
  const faint = (hex, alpha) => "rgba(" + [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16)).join(",") + "," + alpha + ")";
  const column = (k, name) => data.columns[data.series[k].pair ? "pair" : "policy"].indexOf(name);
  const detail = (k, figure) => data.detail[figure === undefined ? chosen.figure : figure][chosen.cell][k];
  const stat = (k, name, figure) => { const found = detail(k, figure).stats[column(k, name)]; return found === undefined ? null : found; };
  const unit = (figure) => data.figures[figure === undefined ? chosen.figure : figure].unit;
  const withUnit = (text) => text + (unit() ? " " + unit() : "");
  const axisTitle = () => data.figures[chosen.figure].label + (unit() ? " [" + unit() + "]" : "");
  const narrow = () => window.innerWidth < 640;

  /* Words and numbers. */
  const plain = (text) => text.replace("-", MINUS);
  function decimals(scale) { return scale > 0 ? Math.max(0, Math.min(12, 1 - Math.floor(Math.log10(scale)))) : 2; }
  function num(value, scale) {  // two digits of the scale, an interval's half-width; else what people read
    if (value === null || value === undefined) return NONE;
    if (!scale && Number.isInteger(value)) return plain(value.toLocaleString("en-US"));
    const digits = decimals(scale || Math.abs(value) / 100), least = Math.pow(10, -digits) / 2;
    if (digits > 8) return plain(value === 0 ? "0" : value.toPrecision(3));
    return plain((Math.abs(value) < least ? 0 : value).toLocaleString("en-US", { minimumFractionDigits: scale ? digits : 0, maximumFractionDigits: digits }));
  }
  const half = (k, figure) => { const low = stat(k, "ci_low", figure), high = stat(k, "ci_high", figure); return low === null ? null : (high - low) / 2; };
  function meanText(k, figure) {
    const mean = stat(k, "mean", figure), width = half(k, figure);
    if (mean === null) return NONE;
    if (width === null || width <= 1e-12 * Math.abs(mean)) return num(mean) + (width === null ? "" : " \u00b1 0");
    return num(mean, width) + " \u00b1 " + num(width, width);
  }
  const percent = (share) => share === null ? NONE : plain((100 * share).toFixed(1)) + "\u00a0%";
  function edge(k) { const width = half(k); return width || stat(k, "sd") || undefined; }

  /* Tables. */
  function element(tag, text, className) {
    const made = document.createElement(tag);
    if (text !== undefined) made.textContent = text;
    if (className) made.className = className;
    return made;
  }
  function table(id, heads, rows) {  // a head that begins with # stands over numbers
    const head = element("thead"), body = element("tbody"), line = element("tr");
    heads.forEach((text) => line.append(element("th", text.replace(/^#/, ""), text[0] === "#" ? "number" : "")));
    head.append(line);
    rows.forEach(function (cells) {
      const row = element("tr");
      cells.forEach((text, i) => row.append(element("td", text, heads[i][0] === "#" ? "number" : "")));
      body.append(row);
    });
    at(id).replaceChildren(head, body);
    return Array.from(body.children);
  }
  const figureTitle = (i) => data.figures[i].label + (data.figures[i].unit ? " [" + data.figures[i].unit + "]" : "");
  function glance(id, indices) {
    const heads = ["key figure", ...POLICIES.map((k) => "#" + data.series[k].label)];
    if (chosen.pair !== null) heads.push("#" + data.series[chosen.pair].label, "sign of the difference");
    const rows = table(id, heads, indices.map(function (i) {
      const cells = [figureTitle(i), ...POLICIES.map((k) => meanText(k, i))];
      if (chosen.pair !== null) cells.push(meanText(chosen.pair, i), sign(i));
      return cells;
    }));
    rows.forEach(function (row, place) {
      const i = indices[place];
      row.className = "choice" + (i === chosen.figure ? " chosen" : "");
      row.title = data.figures[i].meaning;
      row.addEventListener("click", function () { at("figure").value = i; at("figure").dispatchEvent(new Event("change")); });
    });
  }
  function sign(i) {
    const low = stat(chosen.pair, "ci_low", i), high = stat(chosen.pair, "ci_high", i);
    if (low === null) return NONE;
    return low > 0 ? "above 0" : high < 0 ? "below 0" : low === 0 && high === 0 ? "no difference" : "not known";
  }
  function statisticsTable() {
    table("statistics", ["policy", "#n", "#mean", "#sd", "#95 % interval (t)", "#95 % interval (bootstrap)", "#min", "#5 %", "#25 %", "#median", "#75 %", "#95 %", "#max"],
      POLICIES.map(function (k) {
        const of = (name) => num(stat(k, name), edge(k));
        return [data.series[k].label, num(detail(k).n), of("mean"), of("sd"), interval(k, "ci"), interval(k, "boot"),
          ...["min", "q05", "q25", "median", "q75", "q95", "max"].map(of)];
      }));
    alikeNote("statistics-note", POLICIES);
  }
  function interval(k, kind) {
    const low = stat(k, kind + "_low"), high = stat(k, kind + "_high");
    return low === null ? NONE : num(low, edge(k)) + " to " + num(high, edge(k)) + (mostlyAlike(k) ? " *" : "");
  }
  function mostlyAlike(k) {  // but for few replications: intervals rest on those and cover too little
    const alike = stat(k, "n_alike"), n = detail(k).n;
    return alike < n && alike > n / 2;
  }
  function alikeNote(id, series) {
    at(id).textContent = series.some(mostlyAlike)
      ? "* More than half of the replications have the same value: the interval rests on the few others and covers the true mean less often than it says." : "";
  }
  function differencesTable() {
    table("differences", ["difference", "#n", "#mean", "#sd", "#95 % interval (t)", "#95 % interval (bootstrap)", "#below 0 in", "#variance removed"],
      PAIRS.map(function (k) {
        const of = (name) => num(stat(k, name), edge(k));
        return [data.series[k].label, num(detail(k).n), of("mean"), of("sd"), interval(k, "ci"), interval(k, "boot"),
          num(stat(k, "n_below")), percent(stat(k, "variance_removed"))];
      }));
    alikeNote("differences-note", PAIRS);
  }

  /* Distributions: a row per series with its histogram and, below it, its quantiles and mean. */
  function says(id, text) {  // in place of a chart with nothing to draw
    const place = at(id);
    Plotly.purge(place);
    place.replaceChildren(element("p", text));
    place.style.height = "auto";
  }
  function ready(id, height) {
    const place = at(id);
    if (!place.classList.contains("js-plotly-plot")) place.replaceChildren();
    place.style.height = height + "px";
  }
  function jitter(i) { return ((i * 0.6180339887) % 1) - 0.5; }  // golden ratio: spread evenly, the same each time
  function histogram(k, y) {
    const [first, width, counts] = detail(k).bins;
    return { type: "bar", x: counts.map((_, i) => (first + i + 0.5) * width), width, y: counts, yaxis: y, marker: { color: faint(colour(k), 0.75), line: { width: 0 } },
      customdata: counts.map((_, i) => num((first + i) * width) + " to " + num((first + i + 1) * width)), hovertemplate: "%{customdata}: %{y} of " + detail(k).n + "<extra></extra>" };
  }
  function spread(k, y) {
    const mean = stat(k, "mean"), width = half(k), points = detail(k).points, every = data.every[detail(k).n], traces = [];
    const line = (xs, at, thickness, shade) => ({ x: xs, y: xs.map(() => at), yaxis: y, mode: "lines", line: { width: thickness, color: shade }, hoverinfo: "skip" });
    traces.push({ x: points, y: points.map((_, i) => 0.12 + 0.2 * jitter(i)), yaxis: y, mode: "markers", marker: { size: 4, color: faint(colour(k), 0.45) },
      text: points.map((_, i) => "point " + (i * every + 1) + " of " + detail(k).n), hovertemplate: "%{x:,.6~g}, %{text}<extra></extra>" });
    if (!data.series[k].pair) {
      traces.push(line([stat(k, "q05"), stat(k, "q95")], 0.5, 2, colour(k)), line([stat(k, "q25"), stat(k, "q75")], 0.5, 9, colour(k)));
      traces.push({ x: [stat(k, "median")], y: [0.5], yaxis: y, mode: "markers", marker: { symbol: "line-ns", size: 9, line: { width: 2.5, color: "#fff" } },
        hovertemplate: "median %{x:,.6~g}<extra></extra>" });
    } else if (stat(k, "boot_low") !== null) {
      traces.push(Object.assign(line([stat(k, "boot_low"), stat(k, "boot_high")], 0.5, 7, faint(colour(k), 0.35)), { hoverinfo: "x", name: "bootstrap" }));
    }
    const bar = width === null ? {} : { error_x: { type: "constant", value: width, color: INK, thickness: 1.6, width: 5 } };
    traces.push(Object.assign({ x: [mean], y: [data.series[k].pair ? 0.5 : 0.86], yaxis: y, mode: "markers", marker: { symbol: "diamond", size: 9, color: INK },
      hovertemplate: "mean " + meanText(k) + "<extra></extra>" }, bar));
    return traces;
  }
  function rows(id, indices) {
    const drawn = indices.filter((k) => detail(k).n > 0), n = drawn.length, each = n > 4 ? 110 : 150;
    if (!n) { says(id, "No replication has a value."); return; }
    const bins = drawn.some((k) => detail(k).bins !== null && detail(k).n > 1);
    if (!bins) {
      says(id, drawn.map((k) => data.series[k].label + ": " + (detail(k).n === 1 ? "a single replication, with " : "all " + num(detail(k).n) + " replications have ") + withUnit(num(stat(k, "mean")))).join("; ") + ".");
      return;
    }
    const height = 70 + n * each, traces = [], notes = [], extra = { showlegend: false, hovermode: "closest", bargap: 0, margin: { l: narrow() ? 44 : 64, r: 16, t: 8, b: 48 }, height };
    drawn.forEach(function (k, row) {
      const top = 1 - row / n, size = 1 / n, upper = "y" + (row ? 2 * row + 1 : ""), lower = "y" + (2 * row + 2);
      extra["yaxis" + (row ? 2 * row + 1 : "")] = valueAxis("", { domain: [top - 0.62 * size, top - 0.12 * size], nticks: 4, tickfont: { size: 11 } });
      extra["yaxis" + (2 * row + 2)] = { domain: [top - 0.97 * size, top - 0.64 * size], range: [-0.05, 1.1], visible: false, fixedrange: true };
      if (detail(k).bins !== null) traces.push(histogram(k, upper));
      traces.push(...spread(k, lower));
      notes.push({ text: "<b>" + escaped(data.series[k].label) + "</b>", x: 0, y: top, xref: "paper", yref: "paper", xanchor: "left", yanchor: "top", showarrow: false, font: { color: colour(k), size: 13 } });
    });
    extra.xaxis = valueAxis(axisTitle(), { anchor: "y" + (2 * n), rangemode: "normal", zeroline: false, separatethousands: true, exponentformat: "none" });
    extra.annotations = notes;
    if (id === "difference") extra.shapes = zeroLine(drawn);
    ready(id, height);
    draw(id, traces, extra);
  }
  const escaped = (text) => text.replace(/&/g, "&amp;").replace(/</g, "&lt;");
  function zeroLine(drawn) {  // only where 0 is near: an axis from far away would hide the spread
    const values = drawn.flatMap((k) => detail(k).points.filter((x) => x !== null)), low = Math.min(...values), high = Math.max(...values);
    const isNear = low <= high - low && high >= low - high;
    return isNear ? [{ type: "line", x0: 0, x1: 0, y0: 0, y1: 1, yref: "paper", line: { color: TARGET, width: 1.5, dash: "dot" } }] : [];
  }
  function differenceText() {
    const k = chosen.pair, mean = stat(k, "mean"), n = detail(k).n, low = stat(k, "ci_low"), high = stat(k, "ci_high");
    const base = data.series[k].label.split(" " + MINUS + " ");
    if (mean === null) { at("difference-text").textContent = "No replication has both policies."; return; }
    let text = (n === 1 ? "In " : "In the mean of ") + num(n) + " replication" + (n === 1 ? "" : "s") + ", " + base[0] + " has " + withUnit(num(Math.abs(mean), edge(k))) + (mean < 0 ? " less than " : mean > 0 ? " more than " : ", the same as ") + base[1] + ". ";
    if (low !== null && (low !== 0 || high !== 0)) {
      text += "The 95\u00a0% interval of the mean difference reaches from " + interval(k, "ci") + (unit() ? " " + unit() : "") + (low > 0 || high < 0 ? ", all on one side of 0: the sign is known. " : ", on both sides of 0: the sign is not known from these replications. ");
      text += "It is below 0 in " + num(stat(k, "n_below")) + " of " + num(n) + ". ";
    }
    const share = stat(k, "variance_removed");
    if (share !== null) text += "Meeting the same cars, trips and weather removed " + percent(share) + " of the variance of the difference. ";
    if (detail(k).bins !== null) text += "Diamond and bar: mean and t interval; pale bar: bootstrap interval; dotted line: 0.";
    at("difference-text").textContent = text;
  }

  /* Convergence. */
  function ruleOf(k) {
    const name = data.figures[chosen.figure].name;
    return data.rules.find((rule) => rule.figure === name && (rule.minus === null ? rule.policy : rule.policy + " " + MINUS + " " + rule.minus) === data.series[k].label);
  }
  function convergence() {
    const k = chosen.series, one = detail(k), n = data.steps[one.n] || [], rule = ruleOf(k);
    const lines = [];
    if (one.n > n.length + 1) lines.push("Drawn at " + n.length + " of the numbers up to " + num(one.n) + ".");
    if (data.rules.length && !rule) lines.push("No stopping rule looks at this figure of " + data.series[k].label + ".");
    at("convergence-note").textContent = lines.join(" ");
    if (!n.length) { says("convergence", "An interval needs at least two replications."); return; }
    const low = one.mean.map((mean, i) => one.half[i] === null || mean === null ? null : mean - one.half[i]), high = one.mean.map((mean, i) => one.half[i] === null || mean === null ? null : mean + one.half[i]);
    const settled = n.findIndex((count) => count >= Math.min(10, one.n / 4)), shown = low.slice(settled).concat(high.slice(settled)).filter((x) => x !== null);
    const bottom = Math.min(...shown), top = Math.max(...shown), pad = 0.08 * (top - bottom) || Math.abs(top) * 0.01 || 1;
    const pale = { width: 0 }, traces = [
      { x: n, y: low, mode: "lines", line: pale, hoverinfo: "skip", showlegend: false },
      { x: n, y: high, mode: "lines", line: pale, fill: "tonexty", fillcolor: faint(colour(k), 0.2), name: "95 % interval", hoverinfo: "skip" },
      { x: n, y: one.mean, mode: "lines", line: { width: 2, color: colour(k) }, name: "mean of the first N", hovertemplate: "mean %{y:,.7~g}" },
      { x: n, y: one.half, mode: "lines", line: { width: 2, color: colour(k), dash: "dot" }, name: "half-width", yaxis: "y2", hovertemplate: "half-width %{y:,.4~g}" },
    ];
    const shapes = [], notes = [], log = one.n > 200;
    const place = (count) => log ? Math.log10(count) : count;
    if (rule) {
      traces.push({ x: n, y: one.mean.map((mean) => rule.relative ? rule.width / 100 * Math.abs(mean) : rule.width), yaxis: "y2", mode: "lines",
        line: { width: 1.5, color: TARGET, dash: "dash" }, name: "target: " + rule.text, hovertemplate: "target %{y:,.4~g}" });
      if (data.minimum && data.minimum <= one.n) {
        shapes.push({ type: "line", x0: data.minimum, x1: data.minimum, y0: 0, y1: 1, yref: "paper", line: { color: SOFT, width: 1, dash: "dot" } });
        notes.push({ text: "minimum " + data.minimum, x: place(data.minimum), y: 1, yref: "paper", xanchor: "left", yanchor: "top", showarrow: false, font: { size: 11, color: SOFT } });
      }
    }
    const ceiling = Math.max(...one.half.slice(settled).filter((x) => x !== null), ...(rule ? [traces[4].y[traces[4].y.length - 1] * 1.3] : [])) * 1.08;
    ready("convergence", narrow() ? 520 : 560);
    draw("convergence", traces, { shapes, annotations: notes, margin: { l: narrow() ? 56 : 76, r: 16, t: 12, b: 48 }, height: narrow() ? 520 : 560,
      xaxis: valueAxis("replications N", { anchor: "y2", rangemode: "normal", type: log ? "log" : "linear", zeroline: false, exponentformat: "none", separatethousands: true, dtick: log ? "D2" : one.n <= 12 ? 1 : undefined }),
      yaxis: valueAxis(narrow() ? unit() : axisTitle(), { domain: [0.4, 1], range: [bottom - pad, top + pad], rangemode: "normal", zeroline: bottom < 0 && top > 0, separatethousands: true, exponentformat: "none" }),
      yaxis2: valueAxis("half-width" + (unit() ? " [" + unit() + "]" : ""), { domain: [0, 0.33], range: [0, ceiling || 1], separatethousands: true, exponentformat: "none" }) });
  }

  /* Over the cells of a design. */
  const isNumber = (value) => typeof value === "number";
  const levelText = (level) => { const text = isNumber(level) ? num(level) : String(level); return text.length > 28 ? "\u2026" + text.slice(-27) : text; };
  const distinct = (values) => Array.from(new Set(values)).sort((a, b) => isNumber(a) && isNumber(b) ? a - b : 0);
  const cellTitle = (cell) => "cell " + cell + (data.factors.length ? ": " + data.factors.map((key, f) => shortKey(key) + " = " + levelText(data.levels[cell][f])).join(", ") : "");
  const last = (key) => key.split(".").slice(-1)[0];
  const shortKey = (key) => data.factors.filter((other) => last(other) === last(key)).length > 1 ? key : last(key);
  const isGrid = data.design === "factorial" || data.design === "one-at-a-time";
  function cellGroups(along, by, cells) {
    const groups = new Map();
    cells.forEach(function (cell) {
      const name = by === null ? "" : data.levels[cell][by];
      if (!groups.has(name)) groups.set(name, new Map());
      const line = groups.get(name), level = data.levels[cell][along];
      if (!line.has(level)) line.set(level, []);
      line.get(level).push(cell);
    });
    return groups;
  }
  function cellLine(means, byLevel) {
    const found = distinct(Array.from(byLevel.keys())).map(function (level) {
      const cells = byLevel.get(level).filter((cell) => means[0][cell] !== null), alone = cells.length === 1;
      const mean = cells.reduce((sum, cell) => sum + means[0][cell], 0) / cells.length;
      return { level, mean: cells.length ? mean : null, half: alone && means[2][cells[0]] !== null ? means[2][cells[0]] - mean : null, n: cells.length };
    });
    return found.filter((point) => point.mean !== null);
  }
  function cells() {
    const means = data.means[chosen.figure], n = means[0][0].length, what = at("cells-series").value, along = Number(at("cells-along").value);
    const shown = what === "policies" ? POLICIES : [Number(what)];
    at("cells-by-label").hidden = what === "policies" || data.design !== "factorial" || data.factors.length < 2;
    const by = at("cells-by-label").hidden || at("cells-by").value === "" || Number(at("cells-by").value) === along ? null : Number(at("cells-by").value);
    let held = Array.from({ length: n }, (_, cell) => cell);
    if (data.design === "one-at-a-time") held = held.filter((cell) => data.levels[cell].every((level, f) => f === along || level === data.levels[0][f]));
    const traces = [], values = held.map((cell) => along < 0 ? cell : data.levels[cell][along]), numeric = values.every(isNumber);
    let averaged = 1;
    shown.forEach(function (k, index) {
      if (!isGrid) {
        const bars = held.map((cell) => means[k][2][cell] === null ? null : means[k][2][cell] - means[k][0][cell]);
        traces.push({ x: numeric ? values : values.map(levelText), y: held.map((cell) => means[k][0][cell]), mode: "markers", name: data.series[k].label,
          marker: { size: 7, color: colour(k), symbol: SYMBOLS[index % SYMBOLS.length] }, error_y: { type: "data", array: bars, color: faint(colour(k), 0.5), thickness: 1, width: 0 },
          text: held.map(cellTitle), hovertemplate: "%{y:,.6~g}, %{text}<extra></extra>" });
        return;
      }
      cellGroups(along, by, held).forEach(function (byLevel, name) {
        const points = cellLine(means[k], byLevel), place = traces.length, shade = by === null ? colour(k) : PALETTE[place % PALETTE.length];
        averaged = Math.max(averaged, ...points.map((point) => point.n));
        traces.push({ x: points.map((point) => numeric ? point.level : levelText(point.level)), y: points.map((point) => point.mean), mode: "lines+markers",
          name: by === null ? data.series[k].label : shortKey(data.factors[by]) + " = " + levelText(name),
          line: { width: 2, color: shade, dash: DASHES[place % DASHES.length] }, marker: { size: 8, color: shade, symbol: SYMBOLS[place % SYMBOLS.length] },
          error_y: { type: "data", array: points.map((point) => point.half), color: shade, thickness: 1.2, width: 4 }, hovertemplate: "%{y:,.6~g}" });
      });
    });
    const total = data.levels.length;
    const parts = [!isGrid ? "Each point is the mean of one cell with its 95\u00a0% interval" + (along < 0 ? "." : "; the other keys vary too.") :
      averaged > 1 ? "Each point is the mean of up to " + averaged + " cell means, over the levels of the other keys." : "Each point is the mean of one cell with its 95\u00a0% interval."];
    if (data.design === "one-at-a-time") parts.push("The other keys are at the scenario's own values.");
    if (n < total) parts.push("The first " + n + " of " + num(total) + " cells are held in this page.");
    at("cells-note").textContent = parts.join(" ");
    ready("cells", 400);
    const axis = valueAxis(along < 0 ? "cell" : data.factors[along], { rangemode: "normal", zeroline: false, type: numeric ? "linear" : "category" });
    if (numeric && isGrid && distinct(values).length <= 8) { axis.tickmode = "array"; axis.tickvals = distinct(values); axis.ticktext = axis.tickvals.map((x) => num(x)); }
    draw("cells", traces, { height: 400, hovermode: isGrid ? "x unified" : "closest", showlegend: true, margin: { l: narrow() ? 60 : 76, r: 20, t: 12, b: 52 }, xaxis: axis,
      yaxis: valueAxis((what === "policies" ? "" : narrow() ? "" : data.series[Number(what)].label + ": ") + axisTitle(), { rangemode: "normal", separatethousands: true, exponentformat: "none", zeroline: false }) });
    cellsTable(means, n);
  }
  function cellsTable(means, n) {
    const k = at("cells-series").value === "policies" ? POLICIES : [Number(at("cells-series").value)];
    table("cells-table", ["#cell", ...data.factors, ...k.map((index) => "#" + data.series[index].label)], Array.from({ length: n }, function (_, cell) {
      return [String(cell), ...data.levels[cell].map((level) => isNumber(level) ? num(level) : String(level)), ...k.map(function (index) {
        const mean = means[index][0][cell], width = mean === null || means[index][2][cell] === null ? null : means[index][2][cell] - mean;
        return width ? num(mean, width) + " \u00b1 " + num(width, width) : num(mean);
      })];
    }));
  }

  /* Effects of the factors. */
  const keysOf = (term) => term.split(" x ").length > 1 && data.design !== "list" ? term.split(" x ") : term.split(", ");
  const joined = (text, part) => text.split(part).map((one) => levelText(isNaN(Number(one)) || one === "" ? one : Number(one)));
  function effectTitle(row) {
    const [kind, term, level] = row;
    if (kind === "fit") return "all terms";
    if (OF_POINTS.includes(kind)) return shortKey(term) + (kind.endsWith("order") ? ", " + kind : "");
    if (kind === "slope") return shortKey(term) + ": " + level;
    if (kind === "interaction") {
      const keys = keysOf(term).map(shortKey), levels = joined(level, " x ");
      return levels.length === keys.length && !/ to /.test(level) ? keys.map((key, i) => key + " = " + levels[i]).join(" \u00d7 ") : keys.join(" \u00d7 ") + (/ to /.test(level) ? "" : ": " + level);
    }
    const keys = keysOf(term).map(shortKey), levels = joined(level, ", ");
    return keys.length === levels.length ? keys.map((key, i) => key + " = " + levels[i]).join(", ") : (keys.join(", ") || "same as the first cell") + (level ? ": " + level : "");
  }
  const termTitle = (term) => keysOf(term).map(shortKey).join(" \u00d7 ");
  const KINDS = { main: "Main effect of a level: mean at that level minus the mean over all levels of its key, the other keys averaged.",
    interaction: "Interaction: what a pair of levels adds to both main effects; for ranges, how much the first slope grows from the second's low to its high end.",
    slope: "Slope: from the low to the high end of a range, the others held, by least squares.",
    "first order": "First order (Sobol): the share of the variance between cells, over the whole ranges, that a key brings by itself.",
    "total order": "Total order (Sobol): that share with all interactions of the key.",
    "mu star": "Mu star (Morris): mean size of the figure's change when the key moves through its whole range.",
    mu: "Mu (Morris): the same with its sign.", sigma: "Sigma (Morris): standard deviation of these changes, large where a key acts in a curve or together with others.",
    "from base": "Each bar is a cell minus the scenario as it is.", "from first": "Each bar is a cell minus cell 0." };
  const OF_POINTS = ["first order", "total order", "mu star", "mu", "sigma"];  // kinds whose intervals are over points, not replications
  function effectChoices() {
    if (data.design === "sobol-indices") return [["first and total order", "all"], ["first order", "first order"], ["total order", "total order"]];
    if (data.design === "morris") return ["mu star", "mu", "sigma"].map((kind) => [kind, kind]);
    const rows = data.effects.rows, mains = rows.some((row) => row[0] !== "interaction" && row[0] !== "fit");
    const pairs = Array.from(new Set(rows.filter((row) => row[0] === "interaction").map((row) => row[1])));
    return [...(mains ? [["each key alone", "mains"]] : []), ...(pairs.length && rows.length <= 60 ? [["all", "all"]] : []), ...pairs.map((term) => [termTitle(term), term])];
  }
  function effects() {
    const rows = data.effects.rows, k = Number(at("effects-series").value), wanted = at("effects-terms").value;
    const [effect, low, high, share] = data.effects.values[chosen.figure][k];
    const taken = rows.map((_, i) => i).filter((i) => rows[i][0] !== "fit" && (wanted === "all" || (wanted === "mains" ? rows[i][0] !== "interaction" : rows[i][1] === wanted || rows[i][0] === wanted)));
    if (wanted === "all" && data.design === "sobol-indices") taken.sort((a, b) => data.factors.indexOf(rows[a][1]) - data.factors.indexOf(rows[b][1]) || a - b);
    const kinds = Array.from(new Set(taken.map((i) => rows[i][0])));
    const parts = [...kinds.map((kind) => KINDS[kind]), 
      OF_POINTS.includes(kinds[0]) ? "Of the means of " + num(data.effects.n) + " complete replications." + (kinds[0] === "sigma" ? "" : " Whiskers: 95\u00a0% interval; it holds what other points of the design would have given, not what other replications would have.") :
        "Whiskers: 95\u00a0% interval over " + num(data.effects.n) + " complete replications, each a block with its own draws."];
    if (data.effects.n_rows > rows.length) parts.push("The first " + rows.length + " of " + num(data.effects.n_rows) + " effects are held here; effects.csv has them all.");
    at("effects-note").textContent = parts.join(" ");
    if (!taken.length || taken.every((i) => effect[i] === null)) says("effects", "No replication is complete in all cells, or the cells do not differ in this figure, so there is no effect to show.");
    else bars("effects", taken.map((i) => effectTitle(rows[i])), taken.map((i) => effect[i]), { high: taken.map((i) => high[i] === null ? null : high[i] - effect[i]), low: taken.map((i) => low[i] === null ? null : effect[i] - low[i]) }, colour(k),
      data.design === "sobol-indices" ? "index of Sobol" : "effect on " + axisTitle(), taken.map((i) => effectText(effect[i], low[i], high[i])));
    const terms = Array.from(new Set(rows.filter((row) => row[0] !== "fit").map((row) => row[1]))), fit = rows.findIndex((row) => row[0] === "fit");
    at("shares-block").hidden = fit < 0;
    if (fit >= 0) {
      const shares = terms.map((term) => share[rows.findIndex((row) => row[1] === term)]);
      at("shares-note").textContent = effect[fit] === null ? "" : "All terms together explain " + percent(effect[fit]) + " of the variation between the means of the cells.";
      if (shares.every((one) => one === null)) says("shares", "The cells do not differ in this figure.");
      else bars("shares", terms.map(termTitle), shares.map((one) => one === null ? null : 100 * one), null, colour(k), "share [%]", shares.map(percent));
    }
    table("effects-table", ["kind", "term", "level", "#effect" + (unit() && data.design !== "sobol-indices" ? " [" + unit() + "]" : ""), "#95 % interval", "#share of variation"], rows.map(function (row, i) {
      const width = high[i] === null ? 0 : (high[i] - low[i]) / 2;
      return row[0] === "fit" ? [row[0], row[1], "", NONE, NONE, percent(effect[i])] :
        [row[0], row[1], row[2], num(effect[i], width), low[i] === null ? NONE : num(low[i], width) + " to " + num(high[i], width), percent(share[i])];
    }));
  }
  const effectText = (effect, low, high) => low === null ? num(effect) : num(effect, (high - low) / 2) + " (" + num(low, (high - low) / 2) + " to " + num(high, (high - low) / 2) + ")";
  function bars(id, labels, values, ends, shade, title, texts) {
    const rest = narrow() ? 20 : 44, lines = labels.map((text) => narrow() ? text.split(" \u00d7 ") : [text]);
    const deepest = Math.max(...lines.map((one) => one.length)), height = 70 + Math.max(2, labels.length) * ((labels.length > 30 ? 17 : 26) + 11 * (deepest - 1));
    const cut = (text) => text.length > rest ? "\u2026" + text.slice(1 - rest) : text;  // its end says most
    const short = lines.map((one, i) => one.map(cut).map(escaped).join(" \u00d7<br>") + "\u200b".repeat(i));  // equal labels are still bars of their own
    const trace = { type: "bar", orientation: "h", y: short, x: values, marker: { color: faint(shade, 0.8) }, customdata: labels.map((text, i) => escaped(text) + ": " + texts[i]),
      hovertemplate: "%{customdata}<extra></extra>", error_x: ends ? { type: "data", symmetric: false, array: ends.high, arrayminus: ends.low, color: INK, thickness: 1.3, width: 3 } : undefined };
    ready(id, height);
    draw(id, [trace], { height, showlegend: false, hovermode: "closest", margin: { l: 20, r: 20, t: 8, b: 48 }, bargap: 0.3,
      xaxis: valueAxis(title, { separatethousands: true, exponentformat: "none" }),
      yaxis: { type: "category", autorange: "reversed", automargin: true, tickfont: { size: narrow() ? 10 : 12 }, gridcolor: LINE, dtick: 1 } });
  }

  /* Choosers. */
  function options(id, entries) { entries.forEach((entry) => at(id).add(new Option(entry[0], entry[1]))); }
  function fill() {
    options("figure", data.figures.map((figure, i) => [figure.label, i]));
    options("cell", data.shown.map((cell, i) => [cellTitle(cell), i]));
    options("pair", PAIRS.map((k) => [data.series[k].label, k]));
    options("series", data.series.map((one, k) => [one.label, k]));
    at("cell-label").hidden = data.shown.length < 2;
    at("pair-label").hidden = PAIRS.length < 2;
    const total = data.levels.length;
    if (data.shown.length < total) at("held").textContent = "The first " + data.shown.length + " of " + num(total) + " cells can be chosen here; statistics.csv has them all.";
    else at("held").remove();
    if (at("cells")) {
      options("cells-series", [...(POLICIES.length > 1 ? [["all policies", "policies"]] : []), ...data.series.map((one, k) => [one.label, k])]);
      options("cells-along", [...(isGrid ? [] : [["cell number", -1]]), ...data.factors.map((key, f) => [key, f])]);
      if (data.design !== "list" && !isGrid) at("cells-along").value = 0;
      options("cells-by", [["nothing else", ""], ...data.factors.map((key, f) => [key, f])]);
    }
    if (at("effects")) {
      options("effects-series", data.series.map((one, k) => [one.label, k]));
      options("effects-terms", effectChoices());
      ["effects-series", "effects-terms"].forEach((id) => at(id).addEventListener("change", effects));
    }
    const rule = data.rules[0];
    if (rule) {
      chosen.figure = data.figures.findIndex((figure) => figure.name === rule.figure);
      const of = data.series.findIndex((one) => one.label === (rule.minus === null ? rule.policy : rule.policy + " " + MINUS + " " + rule.minus));
      if (of >= 0) { chosen.series = of; if (data.series[of].pair) chosen.pair = of; }
    } else if (chosen.pair !== null) chosen.series = chosen.pair;
    at("figure").value = chosen.figure; at("series").value = chosen.series;
    if (chosen.pair !== null) at("pair").value = chosen.pair;
    const listen = (id, key, show) => at(id).addEventListener("change", function () { chosen[key] = Number(at(id).value); show(); });
    listen("figure", "figure", show); listen("cell", "cell", show); listen("series", "series", convergence);
    at("pair").addEventListener("change", function () { chosen.pair = Number(at("pair").value); chosen.series = chosen.pair; at("series").value = chosen.series; show(); });
    ["cells-series", "cells-along", "cells-by"].forEach((id) => { if (at(id)) at(id).addEventListener("change", cells); });
  }
  function show() {
    const figure = data.figures[chosen.figure], where = data.shown.length > 1 ? ", cell " + data.shown[chosen.cell] : "";
    document.querySelectorAll(".figure-name").forEach((place) => { place.textContent = figure.label + (place.closest("section").querySelector("#cells, #effects") ? "" : where); });
    document.querySelectorAll(".figure-meaning").forEach((place) => { place.textContent = figure.label + (figure.unit ? " [" + figure.unit + "]" : "") + ": " + figure.meaning + "."; });
    const every = Math.max(...POLICIES.map((k) => data.every[detail(k).n]));
    at("points-note").textContent = every > 1 ? "One in " + every + " replications is drawn as a point; bars and statistics use all." : "Each point is one replication.";
    glance("glance", data.figures.map((_, i) => i).slice(0, data.n_headlines));
    glance("glance-all", data.figures.map((_, i) => i));
    rows("distribution", POLICIES);
    statisticsTable();
    if (chosen.pair !== null) { differenceText(); rows("difference", [chosen.pair]); differencesTable(); }
    convergence();
    if (at("cells")) cells();
    if (at("effects")) effects();
  }
  if (at("figure")) { fill(); show(); }
})();
