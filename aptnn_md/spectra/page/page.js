"use strict";
(() => {
  const page = JSON.parse(document.getElementById("data").textContent);
  const COLOURS = ["#0b4f8a", "#009e73", "#cc3d75", "#e69f00", "#56b4e9", "#7a5195", "#8c6d31", "#444444"];
  const EXPERIMENTS = ["#c8501e", "#8c564b", "#9467bd", "#7f7f7f"];
  const X_TITLE = "wavenumber (cm⁻¹)";

  // Lines of numbers below lines that begin with #, or below one with names.
  function columnsOf(text) {
    const rows = [];
    for (const line of text.split(/\r?\n/)) {
      const cells = line.trim().split(/[,;\t]\s*|\s+/).filter((cell) => cell !== "");
      if (cells.length === 0 || line.startsWith("#")) continue;
      const row = cells.map(Number);
      if (row.every((value, k) => Number.isFinite(value) || /^nan$/i.test(cells[k]))) rows.push(row);
    }
    const width = rows.length ? rows[0].length : 0;
    const columns = Array.from({ length: width }, () => []);
    for (const row of rows) {
      if (row.length === width) row.forEach((value, k) => columns[k].push(value));
    }
    return columns;
  }

  const table = columnsOf(page.table);
  const x = table[0];

  function rgba(hex, alpha) {
    const part = (k) => parseInt(hex.slice(k, k + 2), 16);
    return `rgba(${part(1)},${part(3)},${part(5)},${alpha})`;
  }

  // A curve and, as one closed outline, its band of one standard error.
  function curveTraces(curve, colour, ceiling) {
    const y = table[curve.column];
    const error = table[curve.column + 1];
    const cut = (value) => (ceiling === null ? value : Math.max(0, Math.min(value, ceiling)));
    const kept = [...x.keys()].filter((k) => Number.isFinite(y[k]) && Number.isFinite(error[k]));
    const back = [...kept].reverse();
    const common = { legendgroup: curve.name, visible: curve.shown ? true : "legendonly" };
    return [
      {
        ...common, type: "scatter", mode: "lines", hoverinfo: "skip", showlegend: false,
        x: [...kept, ...back].map((k) => x[k]),
        y: [...kept.map((k) => cut(y[k] + error[k])), ...back.map((k) => cut(y[k] - error[k]))],
        fill: "toself", fillcolor: rgba(colour, 0.22), line: { width: 0 },
      },
      {
        ...common, type: "scatter", mode: "lines", name: curve.name, x, y, customdata: error,
        line: { color: colour, width: 1.6 },
        hovertemplate: "%{y:.4g} ± %{customdata:.2g}",
      },
    ];
  }

  function lineTrace(line, number) {
    return {
      type: "scatter", mode: "lines", name: line.name, x: line.x, y: line.y,
      line: { color: EXPERIMENTS[number % EXPERIMENTS.length], width: 1.5, dash: number ? "dash" : "solid" },
      hovertemplate: "%{y:.4g}",
    };
  }

  function markTrace(panel) {
    const of = (field) => panel.marks.map((mark) => mark[field]);
    return {
      type: "scatter", mode: "markers", name: panel.marks_name, x: of("x"), y: of("y"), text: of("name"),
      error_x: { type: "data", array: of("x_error"), color: EXPERIMENTS[0], thickness: 1 },
      error_y: { type: "data", array: of("y_error"), color: EXPERIMENTS[0], thickness: 1 },
      marker: { symbol: "diamond-open", size: 8, color: EXPERIMENTS[0] },
      hovertemplate: "%{text}: %{x:.0f} cm⁻¹, %{y:.4g}",
    };
  }

  function stickTrace(sticks) {
    const xs = [], ys = [];
    sticks.x.forEach((value, k) => { xs.push(value, value, null); ys.push(0, sticks.y[k], null); });
    return {
      type: "scatter", mode: "lines", name: sticks.name, x: xs, y: ys, yaxis: "y2",
      line: { color: EXPERIMENTS[0], width: 1.6 }, hovertemplate: "%{x:.1f} cm⁻¹: %{y:.4g}",
    };
  }

  // Unpublished spectra must not leave the page by one wrong click.
  const CONFIG = {
    responsive: true, displaylogo: false, toImageButtonOptions: { format: "svg" }, plotlyServerURL: "",
    modeBarButtonsToRemove: ["sendChartToCloud", "sendDataToCloud", "select2d", "lasso2d", "autoScale2d"],
  };
  const BASE = {
    margin: { l: 80, r: 30, t: 25, b: 50 }, hovermode: "x unified", plot_bgcolor: "#fff",
    font: { family: "system-ui, sans-serif", size: 13 },
    legend: { x: 0.01, y: 0.99, bgcolor: "rgba(255,255,255,0.7)", traceorder: "normal" },
  };
  const AXIS = { showline: true, linecolor: "#444", mirror: true, ticks: "inside", zeroline: false, gridcolor: "#eee" };

  function drawPanel(panel, number, range) {
    const traces = panel.curves.flatMap((curve, k) => curveTraces(curve, COLOURS[k % COLOURS.length], panel.ceiling));
    traces.push(...panel.lines.map(lineTrace));
    if (panel.marks.length) traces.push(markTrace(panel));
    const layout = {
      ...BASE,
      xaxis: { ...AXIS, title: { text: X_TITLE }, range },
      yaxis: { ...AXIS, title: { text: panel.label }, exponentformat: "power", rangemode: "tozero" },
    };
    if (panel.ceiling !== null) layout.yaxis.range = [0, 1.1 * panel.ceiling];
    if (panel.curves.length === 1 && number > 0) layout.showlegend = false;
    if (panel.sticks) {
      traces.push(stickTrace(panel.sticks));
      layout.yaxis2 = {
        title: { text: panel.sticks_label }, overlaying: "y", side: "right", rangemode: "tozero",
        showgrid: false, color: EXPERIMENTS[0],
      };
      layout.margin = { ...BASE.margin, r: 80 };
    }
    return Plotly.newPlot(`panel-${number}`, traces, layout, CONFIG);
  }

  function drawConvergence(points) {
    const length = points.map((p) => p[0]);
    const percent = points.map((p) => p[1]);
    const last = points.length - 1;
    const expected = length.map((value) => percent[last] * Math.sqrt(length[last] / value));
    const layout = {
      ...BASE, hovermode: "closest", showlegend: false,
      xaxis: { ...AXIS, type: "log", title: { text: "length of all runs (ps)" } },
      yaxis: { ...AXIS, type: "log", title: { text: "relative standard error (%)" } },
    };
    return Plotly.newPlot("convergence", [
      { type: "scatter", mode: "lines", x: length, y: expected, hoverinfo: "skip", line: { color: "#999", dash: "dash", width: 1 } },
      {
        type: "scatter", mode: "lines+markers", x: length, y: percent, text: points.map((p) => `${p[2]} blocks`),
        line: { color: COLOURS[0] }, hovertemplate: "%{x:.4g} ps: %{y:.3g} %, %{text}<extra></extra>",
      },
    ], layout, CONFIG);
  }

  // All plots show the same wavenumbers, also when the page is read again.
  const KEY = `aptnn_md:${location.pathname}`;
  function remembered() {
    try { return JSON.parse(sessionStorage.getItem(KEY)) || page.limits; } catch { return page.limits; }
  }
  function remember(range) {
    try { sessionStorage.setItem(KEY, JSON.stringify(range)); } catch { /* not allowed here */ }
  }

  const plots = page.panels.map((_, number) => document.getElementById(`panel-${number}`));
  let following = false;
  function follow(source, event) {
    let range = null;
    if (event["xaxis.range[0]"] !== undefined) range = [event["xaxis.range[0]"], event["xaxis.range[1]"]];
    if (event["xaxis.autorange"]) range = page.limits;
    if (following || range === null) return;
    following = true;
    remember(range);
    const others = plots.filter((plot) => plot !== source || event["xaxis.autorange"]);
    Promise.all(others.map((plot) => Plotly.relayout(plot, { "xaxis.range": range })))
      .finally(() => { following = false; });
  }

  function save(text, name) {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([text], { type: "text/csv" }));
    link.download = name;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  }

  // A curve of the reader, scaled so that it differs least from the simulation where both are.
  function compare(name, text) {
    const says = document.getElementById("own-says");
    const [theirX, theirY] = columnsOf(text);
    if (!theirY || theirX.length < 3) {
      says.textContent = `${name}: no two columns of numbers, wavenumber and intensity`;
      return;
    }
    const order = [...theirX.keys()].filter((k) => Number.isFinite(theirX[k]) && Number.isFinite(theirY[k]));
    order.sort((a, b) => theirX[a] - theirX[b]);
    const xs = order.map((k) => theirX[k]), ys = order.map((k) => theirY[k]);
    const ours = table[page.panels[0].curves[0].column];
    let product = 0, square = 0, k = 0;
    x.forEach((at, i) => {
      if (at < xs[0] || at > xs[xs.length - 1] || !Number.isFinite(ours[i])) return;
      while (k < xs.length - 2 && xs[k + 1] < at) k += 1;
      const share = xs[k + 1] === xs[k] ? 0 : (at - xs[k]) / (xs[k + 1] - xs[k]);
      const theirs = ys[k] + share * (ys[k + 1] - ys[k]);
      product += ours[i] * theirs;
      square += theirs * theirs;
    });
    const factor = product > 0 ? product / square : NaN;
    if (!Number.isFinite(factor)) {
      says.textContent = `${name}: no wavenumbers in common, or nothing alike`;
      return;
    }
    says.textContent = `${name}, multiplied by ${factor.toPrecision(4)} to fit`;
    Plotly.addTraces(plots[0], {
      type: "scatter", mode: "lines", name, x: xs, y: ys.map((y) => y * factor),
      line: { color: "#111", width: 1.3, dash: "dot" }, hovertemplate: "%{y:.4g}",
    });
  }

  document.getElementById("save-table").addEventListener("click", () => save(page.table, page.tableName));
  const bandsButton = document.getElementById("save-bands");
  if (bandsButton) bandsButton.addEventListener("click", () => save(page.bands, "bands.csv"));
  document.getElementById("own").addEventListener("change", (event) => {
    const [file] = event.target.files;
    if (file) file.text().then((text) => compare(file.name, text));
  });

  const range = remembered();
  const drawn = page.panels.map((panel, number) => drawPanel(panel, number, range));
  if (document.getElementById("convergence")) drawn.push(drawConvergence(page.convergence));
  Promise.all(drawn).then(() => {
    plots.forEach((plot) => plot.on("plotly_relayout", (event) => follow(plot, event)));
    document.body.dataset.drawn = String(drawn.length);
  });
})();
