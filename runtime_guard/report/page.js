"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const main = document.getElementById("main");
  const nav = document.getElementById("nav");
  const COLOURS = ["#1f77b4", "#ff7f0e", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#17becf", "#bcbd22", "#7f7f7f", "#003f5c"];
  const BAD = "#c62828";
  const HEIGHT = 210;

  function element(tag, attributes = {}, ...children) {
    const made = Object.assign(document.createElement(tag), attributes);
    made.append(...children);
    return made;
  }

  function section(title, isBad = false) {
    const id = "section-" + title.replace(/\W+/g, "-");
    const known = document.getElementById(id);
    if (known) return known.querySelector(".grid");
    const grid = element("div", { className: "grid" });
    main.append(element("section", { id }, element("h2", { textContent: title }), grid));
    nav.append(element("a", { href: "#" + id, textContent: title, className: isBad ? "bad" : "" }));
    return grid;
  }

  function card(grid, title, key) {
    const made = element("div", { className: "card" }, element("h3", { textContent: title }));
    made.dataset.key = key;
    grid.append(made);
    return made;
  }

  // Drawn when it comes into view: a run may have thousands of curves.
  const waiting = new Map();
  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting || !waiting.has(target)) continue;
      const draw = waiting.get(target);
      waiting.delete(target);
      observer.unobserve(target);
      draw();
    }
  }, { rootMargin: "300px" });

  function whenSeen(card, draw) {
    const place = element("div");
    place.style.minHeight = HEIGHT + "px";
    card.append(place);
    waiting.set(place, () => draw(place));
    observer.observe(place);
    return place;
  }

  const number = (value) => (value === null || value === undefined ? "" : Number(value.toPrecision(5)).toString());
  const axis = (more = {}) => ({ stroke: "#64748b", grid: { stroke: "#eceff3", width: 1 }, ticks: { show: false }, size: 36, ...more });
  const yAxis = axis({ size: 62, values: (_, ticks) => ticks.map((tick) => Number(tick.toPrecision(6)).toString()) });

  // A red line at each incident.
  function incidentLines(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.strokeStyle = BAD;
    ctx.setLineDash([4, 4]);
    for (const { step } of data.incidents) {
      if (step < plot.scales.x.min || step > plot.scales.x.max) continue;
      const x = Math.round(plot.valToPos(step, "x", true));
      ctx.beginPath();
      ctx.moveTo(x, bbox.top);
      ctx.lineTo(x, bbox.top + bbox.height);
      ctx.stroke();
    }
    ctx.restore();
  }

  function plotted(place, options, columns) {
    place.style.minHeight = "";
    const width = place.clientWidth;
    const plot = new uPlot({ width, height: HEIGHT, ...options }, columns, place);
    new ResizeObserver(() => {
      if (place.clientWidth && place.clientWidth !== plot.width) plot.setSize({ width: place.clientWidth, height: HEIGHT });
    }).observe(place);
    return plot;
  }

  function drawChart(place, chart) {
    const columns = uPlot.join(chart.series.map(({ steps, values }) => [steps, values]), chart.series.map(() => [2]));
    const isShort = columns[0].length < 60;
    plotted(place, {
      scales: { x: { time: false } },
      axes: [axis(), yAxis],
      cursor: { sync: { key: "steps" } },
      hooks: { draw: [incidentLines] },
      series: [
        { label: "step" },
        ...chart.series.map(({ name }, index) => ({
          label: name,
          stroke: COLOURS[index % COLOURS.length],
          width: 1.5,
          spanGaps: true,
          points: { show: isShort, size: 5 },
          value: (_, value) => number(value),
        })),
      ],
    }, columns);
  }

  function showChart(grid, chart) {
    const made = card(grid, chart.title, chart.title + " " + chart.series.map(({ name }) => name).join(" "));
    whenSeen(made, (place) => drawChart(place, chart));
    const bad = chart.series.flatMap(({ name, bad }) => bad.map(([step, value]) => `${name} is ${value} at step ${step}`));
    if (bad.length) {
      const more = bad.length > 3 ? `, and ${bad.length - 3} more` : "";
      made.append(element("p", { className: "note bad", textContent: bad.slice(0, 3).join(", ") + more }));
    }
  }

  // What has a value at some steps: a slider chooses the step.
  function showSteps(grid, { key, num_steps, items }, draw, options = {}) {
    const made = card(grid, key, key);
    const label = element("span");
    const slider = element("input", { type: "range", min: 0, max: items.length - 1, value: items.length - 1 });
    slider.setAttribute("aria-label", "step of " + key);
    const row = element("div", { className: "steps" }, label, slider);
    made.append(row);
    slider.hidden = items.length < 2;
    const body = whenSeen(made, () => update());
    if (options.minHeight !== undefined) body.style.minHeight = options.minHeight;
    let state;
    function update() {
      const { step, value } = items[slider.value];
      label.textContent = `step ${step}`;
      state = draw(body, value, state);
    }
    slider.addEventListener("input", update);
    if (num_steps > items.length) {
      made.append(element("p", { className: "note", textContent: `${items.length} of ${num_steps} steps are shown` }));
    }
  }

  function drawBars(place, { limits, counts, minimum }, plot) {
    // A bar is drawn in the middle of its bin.
    const middles = limits.map((limit, index) => (limit + (index ? limits[index - 1] : minimum)) / 2);
    const columns = [middles, counts];
    if (plot) return plot.setData(columns), plot;
    return plotted(place, {
      scales: { x: { time: false }, y: { range: (_, low, high) => [0, high || 1] } },
      axes: [axis(), yAxis],
      legend: { show: true },
      series: [
        { label: "value", value: (_, value) => number(value) },
        { label: "count", stroke: COLOURS[0], fill: COLOURS[0] + "99", width: 1, paths: uPlot.paths.bars({ size: [1] }), points: { show: false } },
      ],
    }, columns);
  }

  function drawCurve(place, { recall, precision }, plot) {
    const columns = [recall, precision];
    if (plot) return plot.setData(columns), plot;
    return plotted(place, {
      scales: { x: { time: false, range: [0, 1] }, y: { range: [0, 1.02] } },
      axes: [axis({ label: "recall", labelSize: 18, size: 40 }), axis({ label: "precision", size: 44 })],
      series: [
        { label: "recall", value: (_, value) => number(value) },
        { label: "precision", stroke: COLOURS[0], width: 1.5, value: (_, value) => number(value) },
      ],
    }, columns);
  }

  function drawPicture(place, { source, file, caption }) {
    place.replaceChildren();
    if (source) {
      const picture = element("img", { src: source, alt: caption });
      picture.addEventListener("load", () => {
        picture.classList.toggle("small", picture.naturalWidth < 120);
        place.closest(".card").classList.toggle("wide", picture.naturalWidth > 900);
      });
      place.append(picture);
    } else {
      place.append(element("p", { className: "note bad", textContent: `${file} is not in the run's folder any more` }));
    }
    if (caption) place.append(element("p", { className: "note", textContent: caption }));
  }

  function drawText(place, value) {
    place.innerHTML = value; // Escaped where it was written.
  }

  function showTable(grid, title, values) {
    const rows = Object.entries(values).map(([name, value]) =>
      element("tr", {}, element("td", { textContent: name }), element("td", { textContent: value })));
    if (rows.length) card(grid, title, title + " " + Object.keys(values).join(" ")).append(element("table", {}, ...rows));
  }

  const group = (key) => key.split("/")[0];

  data.incidents.forEach(({ verdict }, index) => {
    const made = element("details", { className: "card incident wide", open: index === 0 },
      element("summary", { textContent: verdict.split("\n")[0] }), element("pre", { textContent: verdict }));
    made.dataset.key = "incidents " + verdict;
    section("incidents", true).append(made);
  });
  for (const chart of data.overview) showChart(section(chart.group), chart);
  if (data.hyperparameters) {
    showTable(section("hyperparameters"), "Final metrics", data.hyperparameters.metrics);
    showTable(section("hyperparameters"), "Settings", data.hyperparameters.values);
  }
  const isFirst = ({ group }) => group === "loss" || group === "metrics";
  for (const chart of data.charts.filter(isFirst)) showChart(section(chart.group), chart);
  for (const chart of data.charts.filter((chart) => !isFirst(chart))) showChart(section(chart.group), chart);
  for (const found of data.pictures) showSteps(section(group(found.key)), found, drawPicture);
  for (const found of data.curves) showSteps(section(group(found.key)), found, drawCurve);
  for (const found of data.histograms) showSteps(section(group(found.key)), found, drawBars);
  for (const found of data.texts) showSteps(section(group(found.key)), found, drawText, { minHeight: "20px" });

  addEventListener("beforeprint", () => {
    for (const draw of waiting.values()) draw();
    waiting.clear();
  });

  document.getElementById("filter").addEventListener("input", ({ target }) => {
    let wanted;
    try {
      wanted = new RegExp(target.value, "i");
      target.setCustomValidity("");
    } catch (error) {
      target.setCustomValidity(error.message);
      return;
    }
    for (const made of main.querySelectorAll(".card")) made.hidden = !wanted.test(made.dataset.key);
    for (const part of main.querySelectorAll("section")) part.hidden = !part.querySelector(".card:not([hidden])");
  });
})();
